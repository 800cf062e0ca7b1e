"""What a probe of Chaos Toolkit means for us: objectives. The load asks all the time, so what a single request found is
said of all of them.

Probes of a steady-state hypothesis hold before and after the method; those of the method itself only look. Called by
:func:`cloudcart.experiment.chaostoolkit.import_chaostoolkit`.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from cloudcart.experiment.chaostoolkit.activities import Activity
from cloudcart.units import format_duration

_READY: Final = ("/health", "/ready", "/healthz", "/livez", "/readyz")
_KNOWN: Final = re.compile(r"/api/(products|orders)(/[^?]*)?")
"""What the journeys browse and mixed ask for, and objectives can be about."""


class Said(NamedTuple):
    """What must hold, as objectives without a phase, and a word on what is different; or why nothing was made of it."""

    objectives: tuple[str, ...]
    route: str | None = None
    note: str = ""
    instead: str = ""


def of_hypothesis(probe: Activity) -> Said:
    """Return what a probe of the steady-state hypothesis means."""
    if probe.provider != "http":
        return _not_http(probe)
    if not _means_success(probe.tolerance):
        shown = "a body" if isinstance(probe.tolerance, dict) else f"the status {probe.tolerance!r}"
        return Said((), note=f"it wants {shown}, objectives are about latency, errors and traffic", instead=_TEST)
    path = urlsplit(probe.does.partition(" ")[2]).path
    objectives = ("errors < 1%", *([f"p99 < {format_duration(probe.timeout)}"] if probe.timeout else []))
    if path in _READY:
        return Said(objectives, note="of all requests; that services are ready is seen to before each run")
    found = _KNOWN.fullmatch(path)
    if found is None:
        return Said(objectives, note=f"of all requests: no journey that ships asks for {path or '/'}")
    return Said(objectives, _template(path))


_TEST: Final = "an assertion in a test, with cloudcart_client"


def _not_http(probe: Activity) -> Said:
    if probe.does.startswith("chaosprometheus."):
        return Said((), note="its query is in PromQL", instead="an objective with source: prometheus")
    if probe.does.startswith("chaosk8s."):
        return Said((), note="that services are ready is seen to before each run", instead="nothing")
    if probe.provider == "process":
        return Said((), note="a program may find anything", instead=_TEST)
    return Said((), note=f"{probe.does} may find anything", instead=_TEST)


def _means_success(tolerance: Any) -> bool:
    """Return whether a tolerance of an HTTP probe asks for a status below 500, which is what errors are not."""
    if isinstance(tolerance, dict):
        kind, bounds = tolerance.get("type"), tolerance.get("range")
        if kind == "range" and isinstance(bounds, list) and tolerance.get("target", "status") == "status":
            return all(isinstance(bound, int | float) and bound < 500 for bound in bounds)
        return False
    statuses = tolerance if isinstance(tolerance, list) else [tolerance]
    return bool(statuses) and all(isinstance(one, int) and 100 <= one < 500 for one in statuses)


def _template(path: str) -> str:
    """Return the route template of a path: numbers in it are ids."""
    return re.sub(r"/\d+(?=/|$)", "/{id}", path.rstrip("/"))
