"""A release with a bug: a share of requests fails, as the settings ``release.*`` of a bad deploy say.

Part of the stack only where the share is above zero. It is what was deployed, no fault of a request: its answers bear
no mark, and nothing but the release's own metrics tells what is wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from cloudcart.chaos.draw import Draws, number
from cloudcart.chaos.matching import EXEMPT, EXEMPT_PREFIXES
from cloudcart.services.problems import unexpected
from cloudcart.settings import Release
from cloudcart.telemetry.context import current
from cloudcart.telemetry.routes import ROUTE

_IDENTITY: Final = b"release"
_LOG: Final = logging.getLogger(__name__)


class FailingRelease:
    """Answers a share of requests with 500 before the application sees them.

    Args:
        app: what works.
        release: the share, and the seed by which a request's key chooses.
    """

    def __init__(self, app: ASGIApp, *, release: Release) -> None:
        self._app = app
        self._failing = release.failing
        self._draws = Draws(release.seed, _IDENTITY)
        self._served = 0

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request, or whatever else the server asks for."""
        if scope["type"] == "http" and self._fails(scope[ROUTE]):
            _LOG.error("the configuration of this release does not fit the request", extra={"route": scope[ROUTE]})
            return unexpected()(scope, receive, send)
        return self._app(scope, receive, send)

    def _fails(self, route: str) -> bool:
        if route in EXEMPT or route.startswith(EXEMPT_PREFIXES):
            return False
        self._served += 1
        context = current.get()
        key = context.request_key if context is not None and context.request_key else f"#{self._served}"
        return number(self._draws.digest(f"{key} {route}"), 0) < self._failing
