"""CloudCart: a small, real e-commerce platform to break on purpose, and the tools to break it well.

The names below are the public list; each is imported when first used, so that ``import cloudcart`` is quick and pulls
in none of the extras.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cloudcart import plots as plots
    from cloudcart.analysis import Run as Run
    from cloudcart.chaos.middleware import ChaosMiddleware as ChaosMiddleware
    from cloudcart.events import EVENTS as EVENTS
    from cloudcart.events import Event as Event
    from cloudcart.exceptions import CloudCartError as CloudCartError
    from cloudcart.experiment import Experiment as Experiment
    from cloudcart.experiment.run import run as run
    from cloudcart.faults import FAULTS as FAULTS
    from cloudcart.faults import Fault as Fault
    from cloudcart.faults import parse_fault as parse_fault
    from cloudcart.hooks import Hooks as Hooks
    from cloudcart.lab import Lab as Lab
    from cloudcart.lab import attach as attach
    from cloudcart.lab import start as start
    from cloudcart.load import LoadProfile as LoadProfile
    from cloudcart.services import create_service as create_service
    from cloudcart.settings import Settings as Settings
    from cloudcart.signals import Objective as Objective
    from cloudcart.signals import Verdict as Verdict

__version__ = "0.1.0"

_HOMES: Final = {
    "ChaosMiddleware": "cloudcart.chaos.middleware",
    "CloudCartError": "cloudcart.exceptions",
    "EVENTS": "cloudcart.events",
    "Event": "cloudcart.events",
    "Experiment": "cloudcart.experiment",
    "FAULTS": "cloudcart.faults",
    "Fault": "cloudcart.faults",
    "Hooks": "cloudcart.hooks",
    "Lab": "cloudcart.lab",
    "LoadProfile": "cloudcart.load",
    "Objective": "cloudcart.signals",
    "Run": "cloudcart.analysis",
    "Settings": "cloudcart.settings",
    "Verdict": "cloudcart.signals",
    "attach": "cloudcart.lab",
    "create_service": "cloudcart.services",
    "parse_fault": "cloudcart.faults",
    "plots": "cloudcart.plots",
    "run": "cloudcart.experiment",
    "start": "cloudcart.lab",
}

__all__ = sorted(_HOMES)  # one list serves both: what is public, and where it lives


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(home)
    return module if home.endswith(f".{name}") else getattr(module, name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
