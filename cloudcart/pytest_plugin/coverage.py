"""What one test broke, for ``--cloudcart-coverage``: asked of the control plane when the test is over.

Sees every fault, whether a scenario, a test by hand or a plain HTTP call injected it. Adding up and drawing is
``report.coverage``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cloudcart.lab import Lab
    from cloudcart.report.coverage import Coverage

_OPERATIONS: Final = ("/health", "/ready", "/metrics", "/openapi.json", "/redoc")


class Watched:
    """A lab from now on.

    Args:
        lab: a lab on which nothing is broken yet.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._before = {fault["id"] for fault in lab.chaos.faults()}

    def finding(self) -> dict[str, Any]:
        """Return which places there are, and what was broken since."""
        broken = [
            (place, fault["kind"], fault["injected"])
            for fault in self._lab.chaos.faults()
            if fault["id"] not in self._before
            for place in _places_of(fault)
        ]
        return {"places": [*_places(self._lab)], "broken": broken}


def _places(lab: Lab) -> Iterable[str]:
    """Yield everything in the lab that a fault may be aimed at."""
    from cloudcart.events import EVENTS
    from cloudcart.lab.links import CALLS
    from cloudcart.settings import SERVICES, WITH_DATABASE, WITH_REDIS

    yield from SERVICES
    yield from (f"{caller}->{peer}" for caller, peers in CALLS.items() for peer in peers)
    yield from (f"{service}->redis" for service in WITH_REDIS)
    yield from (f"{service}->postgres" for service in WITH_DATABASE)
    yield from (f"kafka:{topic}" for topic in EVENTS)
    for target in lab.chaos.targets():
        yield from (f"{target['service']}:{route}" for route in target["routes"] if not _is_operation(route))


def _is_operation(route: str) -> bool:
    return route in _OPERATIONS or "/chaos/" in route or route.startswith(("/internal/", "/docs"))


def _places_of(fault: Mapping[str, Any]) -> list[str]:
    """Return the place that a fault was aimed at; a fault on a service's use of a store is on that link."""
    from cloudcart.faults import FAULTS

    target, kind = str(fault["target"]), FAULTS[fault["kind"]]
    if target.startswith("kafka:") or "->" in target or target == kind.store:
        return [target]
    service = target.partition(":")[0]
    if kind.store:
        return [f"{service}->{kind.store}"]
    return [service] if target == service else [service, target]


def gather(findings: Iterable[Mapping[str, Any]]) -> Coverage:
    """Return what all tests of a session broke, with the routes as clients saw them from the runs' rows."""
    from cloudcart.faults import FAULTS
    from cloudcart.report.coverage import Coverage

    coverage = Coverage(FAULTS)
    for found in findings:
        if "places" in found:
            coverage.add(found["places"], found["broken"])
        elif "run" in found and (folder := Path(found["run"])).is_dir():
            coverage.add((), _seen_by_clients(folder))
    return coverage


def _seen_by_clients(folder: Path) -> list[tuple[str, str, int]]:
    from pyarrow import parquet

    from cloudcart.report.coverage import client_hits

    faults = json.loads((folder / "run.json").read_text())["faults"]
    rows = parquet.read_table(folder / "requests.parquet", columns=["name", "fault_ids"]).to_pydict()
    return client_hits(rows, {fault["id"]: fault["kind"] for fault in faults})
