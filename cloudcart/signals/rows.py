"""Readings from the load generator's rows: what clients saw, request by request.

Latency counts from when a request was *due* (open model), so a stall that keeps the generator from sending shows;
``since="sent"`` gives the closed-model figure beside it. A request belongs to the window in which it was due. Every
request counts for latency, whatever its answer. No answer (status 0) and 500 or above are errors; 429 is *throttled*
and no error; nor is any other status. ``load.rows`` defines the columns and writes them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, variance
from typing import Any, Final, Literal

from cloudcart.exceptions import MissingExtraError, UsageError
from cloudcart.signals.golden import GoldenSignal, Route, golden_signal
from cloudcart.signals.reading import Reading, Window
from cloudcart.signals.statistics import clopper_pearson, mean_interval, quantile, quantile_ranks

THROTTLED: Final = 429
_NEEDED: Final = ("due", "sent", "done", "name", "status")


def is_error(status: int) -> bool:
    """Say whether a request with this status (0: no answer came) failed."""
    return status == 0 or status >= 500


class RowsSource:
    """Readings from rows.

    Args:
        rows: path of ``requests.parquet``, an Arrow table, or a mapping from column name to values.
        since: what latency counts from.

    Raises:
        UsageError: there is no such file, or a column is missing.
    """

    name = "client"

    def __init__(
        self, rows: str | Path | Mapping[str, Sequence[Any]] | Any, *, since: Literal["due", "sent"] = "due"
    ) -> None:
        columns = _columns(rows)
        order = sorted(range(len(columns["due"])), key=columns["due"].__getitem__)
        self._since = since
        self._due = [columns["due"][i] for i in order]
        self._start = self._due if since == "due" else [columns["sent"][i] for i in order]
        self._done = _ended([columns["done"][i] for i in order])
        self._name = [columns["name"][i] for i in order]
        self._status = [columns["status"][i] for i in order]
        faults = columns.get("fault_ids")
        self._faults = [faults[i] for i in order] if faults is not None else [None] * len(order)

    def __len__(self) -> int:
        return len(self._due)

    def read(self, signal: str, window: Window, *, service: str | None = None, route: str | None = None) -> Reading:
        """Return a reading; see :class:`~cloudcart.signals.source.Source`.

        The client sees the gateway only: for another service, and for saturation, there is no data.
        """
        golden = golden_signal(signal)
        if service not in (None, "gateway"):
            return _no_data(golden, window, route, f"the client does not see {service}; use the source scrape")
        requests = self._select(window, route)
        if golden.name == "injected":
            marked = sum(bool(faults) for faults in _pick(self._faults, requests))
            return _exact(golden, window, route, float(marked), len(requests))
        if not golden.of_requests:
            return _no_data(golden, window, route, f"the client's rows do not tell {golden.name}")
        if golden.name == "traffic":
            rate = len(requests) / window.seconds if window.seconds > 0 else None
            return _exact(golden, window, route, rate, len(requests))
        if not requests:
            return _no_data(golden, window, route, "no request was due in this window")
        if golden.family == "errors":
            return self._share(golden, window, route, requests)
        return self._latency(golden, window, route, requests)

    @staticmethod
    def is_of(name: str, route: str | None) -> bool:
        """Say whether a request of this name, as ``GET /api/products``, is meant by ``route``; None means all."""
        return route is None or _named(name, Route.parse(route))

    def extent(self) -> tuple[float, float] | None:
        """Return when the first request was due and the last one ended; None without rows."""
        return (self._due[0], max(self._done)) if self._due else None

    def under_way(self, moment: float) -> int:
        """Return how many requests were due and not yet answered at a moment."""
        return sum(done > moment for done in self._done[: bisect_left(self._due, moment)])

    def answers(self, route: str | None = None) -> list[tuple[float, bool]]:
        """Return when each request ended and whether it failed, in the order in which they ended."""
        if not self._due:
            return []
        requests = self._select(Window(self._due[0], self._due[-1] + 1), route)
        return sorted((self._done[i], is_error(self._status[i])) for i in requests)

    def latencies(self, window: Window, route: str | None = None) -> list[float]:
        """Return the latencies in seconds of the requests due in ``window``, in the order in which they were due."""
        return [self._done[i] - self._start[i] for i in self._select(window, route)]

    def _select(self, window: Window, route: str | None) -> Sequence[int]:
        span = range(bisect_left(self._due, window.start), bisect_left(self._due, window.end))
        if route is None:
            return span
        wanted = Route.parse(route)
        names = {name: _named(name, wanted) for name in set(self._name[span.start : span.stop])}
        return [i for i in span if names[self._name[i]]]

    def _share(self, golden: GoldenSignal, window: Window, route: str | None, requests: Sequence[int]) -> Reading:
        test: Callable[[int], bool] = is_error if golden.name == "errors" else THROTTLED.__eq__
        hits = sum(map(test, _pick(self._status, requests)))
        low, high = clopper_pearson(hits, len(requests))
        return _reading(golden, window, route, hits / len(requests), len(requests), low, high)

    def _latency(self, golden: GoldenSignal, window: Window, route: str | None, requests: Sequence[int]) -> Reading:
        ordered = sorted(self._done[i] - self._start[i] for i in requests)
        note = "counted from when it was sent" if self._since == "sent" else ""
        if golden.share is None:
            mean = fmean(ordered)
            interval = mean_interval(mean, variance(ordered), len(ordered)) if len(ordered) > 1 else None
            low, high = interval or (None, None)
            return _reading(golden, window, route, mean, len(ordered), low, high, note)
        low_rank, high_rank = quantile_ranks(len(ordered), golden.share)
        return _reading(
            golden,
            window,
            route,
            quantile(ordered, golden.share),
            len(ordered),
            ordered[low_rank - 1] if low_rank else None,
            ordered[high_rank - 1] if high_rank else None,
            note,
        )


def _pick(column: Sequence[Any], requests: Iterable[int]) -> Iterable[Any]:
    return (column[i] for i in requests)


def _named(name: str, wanted: Route) -> bool:
    method, _, path = name.partition(" ")
    return wanted.matches(method, path)


def _ended(done: list[float | None]) -> list[float]:
    """Take the last end of all for a request that has not ended: it waited at least so long."""
    last = max((moment for moment in done if moment is not None), default=0.0)
    return [last if moment is None else moment for moment in done]


def _columns(rows: Any) -> dict[str, list[Any]]:
    if isinstance(rows, str | Path):
        rows = _read_parquet(Path(rows))
    if not isinstance(rows, Mapping):
        rows = {name: rows.column(name).to_pylist() for name in rows.column_names if name in (*_NEEDED, "fault_ids")}
    for name in _NEEDED:
        if name not in rows:
            raise UsageError(f"these are no request rows: the column {name!r} is missing")
    return {name: list(values) for name, values in rows.items() if name in (*_NEEDED, "fault_ids")}


def _read_parquet(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "load") from None
    if not path.is_file():
        raise UsageError(f"there is no file {path}; give the path of a run's requests.parquet")
    return parquet.read_table(path)


def _reading(
    golden: GoldenSignal,
    window: Window,
    route: str | None,
    value: float | None,
    samples: int,
    low: float | None,
    high: float | None,
    note: str = "",
) -> Reading:
    return Reading(golden.name, value, golden.unit, samples, low, high, window, "client", "gateway", route, note)


def _exact(golden: GoldenSignal, window: Window, route: str | None, value: float | None, samples: int) -> Reading:
    return _reading(golden, window, route, value, samples, value, value)


def _no_data(golden: GoldenSignal, window: Window, route: str | None, note: str) -> Reading:
    return _reading(golden, window, route, None, 0, None, None, note)
