"""A run's figures over time and by phase, from its rows and its table of signals: what the charts and tables show.

Numbers only; ``charts`` turns them into charts, ``words`` into sentences. Times are seconds since the start of load.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from cloudcart.signals import Reading, RowsSource, Window, golden_signal
from cloudcart.signals.golden import Route

PHASE_NAMES: Final = {"warmup": "warm-up", "steady": "steady", "fault": "fault", "recovery": "recovery"}
_SLICES: Final = ((45.0, 0.5), (180.0, 1.0), (600.0, 5.0), (3600.0, 15.0))
_LONGEST_SLICE: Final = 60.0
_READ: Final = ("p50", "p95", "p99", "errors", "throttled", "traffic")


@dataclass(frozen=True, slots=True)
class Slice:
    """A short stretch of time, or a phase, and what clients saw of the requests due in it."""

    start: float
    end: float
    requests: int
    p50: float | None
    p95: float | None
    p99: float | None
    errors: float | None
    throttled: float | None
    traffic: float | None
    name: str = ""

    @property
    def middle(self) -> float:
        """Where its point stands on a chart."""
        return (self.start + self.end) / 2


class Scope(NamedTuple):
    """Which requests an objective is about, if not all: those of a route, as clients or one service saw them."""

    route: str | None
    service: str | None

    @classmethod
    def of(cls, objective: Mapping[str, Any]) -> Scope | None:
        """Return the scope of an objective of ``run.json``; None if it is about all requests, or about none."""
        if not golden_signal(objective["objective"].split()[0]).of_requests:
            return None
        service = None if objective.get("source") == "client" else objective.get("service") or "gateway"
        scope = cls(objective.get("route"), service)
        return None if scope == (None, None) else scope

    def __str__(self) -> str:
        return " at ".join(part for part in (self.route, self.service) if part)


@dataclass(frozen=True, slots=True)
class Figures:
    """All that a report shows of a run over time."""

    origin: float
    end: float
    slices: Sequence[Slice]
    phases: Sequence[Slice]
    saturation: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]
    """Signal to service to points (seconds, value)."""
    scoped: Mapping[Scope, Mapping[str, Sequence[tuple[float, float | None]]]] = field(default_factory=dict)
    """For what objectives name, signal to points (seconds, value)."""


def gather(run: Mapping[str, Any], folder: Path, route: str | None = None) -> Figures:
    """Return the figures of the run that ``run`` describes; without its files, those parts are empty.

    Args:
        run: what ``run.json`` says.
        folder: where the tables are.
        route: requests of this route only, as ``POST /api/orders``; saturation is of whole services all the same.
    """
    rows = RowsSource(folder / "requests.parquet") if (folder / "requests.parquet").is_file() else None
    table = _signals(folder / "signals.parquet")
    phases = [Window(phase["start"], phase["end"], phase["name"]) for phase in run.get("phases") or ()]
    origin, end = _extent(phases, rows, table)
    return Figures(
        origin=origin,
        end=end - origin,
        slices=[_slice(rows, part, origin, route) for part in _cut(origin, end)] if rows else [],
        phases=[_slice(rows, phase, origin, route) for phase in phases] if rows else [],
        saturation=_saturation(table, origin, end),
        scoped=_scoped(run, rows, table, origin, end),
    )


def _signals(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    from pyarrow import parquet

    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


def _extent(
    phases: Sequence[Window], rows: RowsSource | None, table: Iterable[Mapping[str, Any]]
) -> tuple[float, float]:
    """Return when the run began and ended: by its phases, else by whatever was recorded."""
    if phases:
        return min(phase.start for phase in phases), max(phase.end for phase in phases)
    if rows is not None and (extent := rows.extent()) is not None:
        return extent
    times = [row["time"] for row in table]
    return (min(times), max(times)) if times else (0.0, 0.0)


def _cut(origin: float, end: float) -> list[Window]:
    length = next((length for span, length in _SLICES if end - origin <= span), _LONGEST_SLICE)
    count = max(1, round((end - origin) / length))
    return [Window(origin + i * length, min(end, origin + (i + 1) * length)) for i in range(count)]


def _slice(rows: RowsSource, window: Window, origin: float, route: str | None) -> Slice:
    readings = {signal: rows.read(signal, window, route=route) for signal in _READ}
    return Slice(
        start=window.start - origin,
        end=window.end - origin,
        requests=readings["traffic"].samples,
        name=PHASE_NAMES.get(window.name, window.name),
        **{signal: _value(reading) for signal, reading in readings.items()},
    )


def _value(reading: Reading) -> float | None:
    return reading.value


def _saturation(
    table: Iterable[Mapping[str, Any]], origin: float, end: float
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    found: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in table:
        if row["route"] is None and origin <= row["time"] <= end:
            found[row["signal"]][row["service"]].append((row["time"] - origin, row["value"]))
    return {signal: {service: sorted(points) for service, points in by.items()} for signal, by in found.items()}


def _scoped(
    run: Mapping[str, Any], rows: RowsSource | None, table: Sequence[Mapping[str, Any]], origin: float, end: float
) -> dict[Scope, dict[str, list[tuple[float, float | None]]]]:
    found: dict[Scope, dict[str, list[tuple[float, float | None]]]] = defaultdict(dict)
    for entry in run.get("objectives") or ():
        scope, signal = Scope.of(entry), entry["objective"].split()[0]
        if scope is None or signal in found[scope]:
            continue
        if scope.service:
            found[scope][signal] = _of_service(table, scope, signal, origin, end)
        elif rows is not None:
            parts = _cut(origin, end)
            values = [rows.read(signal, part, route=scope.route).value for part in parts]
            middles = [(part.start + part.end) / 2 - origin for part in parts]
            found[scope][signal] = list(zip(middles, values, strict=True))
    return dict(found)


def _of_service(
    table: Iterable[Mapping[str, Any]], scope: Scope, signal: str, origin: float, end: float
) -> list[tuple[float, float | None]]:
    """Return what a service counted of a signal; of a route of several methods only the first that is recorded."""
    assert scope.service is not None
    route = Route.parse(scope.route).at(scope.service) if scope.route else None
    series: dict[str | None, list[tuple[float, float | None]]] = defaultdict(list)
    for row in table:
        if row["service"] == scope.service and row["signal"] == signal and origin <= row["time"] <= end:
            series[row["route"]].append((row["time"] - origin, row["value"]))
    if route is None:
        return sorted(series.get(None, []))
    names = [name for name in series if name is not None and RowsSource.is_of(name, str(route))]
    return sorted(series[min(names)]) if names else []
