"""Where the shop runs: start it, attach to it, look at it, break it, end it.

The names below are imported when first used: processes that the lab itself starts import parts of this folder and are
to be small and quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cloudcart.lab.backend import Backend as Backend
    from cloudcart.lab.event_tap import EventTap as EventTap
    from cloudcart.lab.injected import InjectedFault as InjectedFault
    from cloudcart.lab.invariants import InvariantResult as InvariantResult
    from cloudcart.lab.lab import Lab as Lab
    from cloudcart.lab.lab import Login as Login
    from cloudcart.lab.lab import PreparedUser as PreparedUser
    from cloudcart.lab.labs import attach as attach
    from cloudcart.lab.labs import list_labs as list_labs
    from cloudcart.lab.labs import start as start
    from cloudcart.lab.labs import stop as stop
    from cloudcart.lab.progress import Phase as Phase
    from cloudcart.lab.status import LabStatus as LabStatus
    from cloudcart.lab.status import ServiceStatus as ServiceStatus

_HOMES: Final = {
    "Backend": "backend",
    "EventTap": "event_tap",
    "InjectedFault": "injected",
    "InvariantResult": "invariants",
    "Lab": "lab",
    "LabStatus": "status",
    "Login": "lab",
    "Phase": "progress",
    "PreparedUser": "lab",
    "ServiceStatus": "status",
    "attach": "labs",
    "list_labs": "labs",
    "start": "labs",
    "stop": "labs",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
