"""All routes of an application, also those of routers that it includes. Used by the stack and by what describes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import fastapi.routing

# FastAPI keeps included routers nested since 0.160 or so, and says through this function what they come to.
every_route: Final[Callable[[Iterable[Any]], Iterable[Any]]] = getattr(fastapi.routing, "iter_route_contexts", iter)
"""Yield each route of a list of routes and routers, in the order in which they are tried."""
