"""Load: what users do, how many of them come, and a row for each of their requests.

The names below are imported when first asked for: a pytest process that describes load needs neither Locust nor gevent,
and must not import them (see ``generator``). Called by the experiment, the pytest plugin and the command line.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cloudcart.load.child import Generators as Generators
    from cloudcart.load.journey import Journey as Journey
    from cloudcart.load.lookup import find_journey as find_journey
    from cloudcart.load.lookup import list_journeys as list_journeys
    from cloudcart.load.profile import LoadProfile as LoadProfile
    from cloudcart.load.profile import Stage as Stage
    from cloudcart.load.report import GeneratorReport as GeneratorReport
    from cloudcart.load.runner import LoadRun as LoadRun
    from cloudcart.load.start import start_load as start_load
    from cloudcart.load.transport import Answer as Answer

_HOMES: Final = {
    "Answer": "transport",
    "GeneratorReport": "report",
    "Generators": "child",
    "Journey": "journey",
    "LoadProfile": "profile",
    "LoadRun": "runner",
    "Stage": "profile",
    "find_journey": "lookup",
    "list_journeys": "lookup",
    "start_load": "start",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562); ``Journey`` alone pulls in Locust."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
