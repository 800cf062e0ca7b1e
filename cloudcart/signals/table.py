"""``signals.parquet``: every signal of every service between each two scrapes, as one long table.

For charts and notebooks, not for verdicts: a reading of a whole phase is better than the mean of its seconds. Written
by ``experiment`` at the end of a run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from cloudcart.exceptions import MissingExtraError
from cloudcart.signals.buckets import Buckets
from cloudcart.signals.exposition import Labels
from cloudcart.signals.history import ScrapeHistory
from cloudcart.signals.metric_source import CLOUDCART, DEAD_LETTER, MetricNames, is_error_status
from cloudcart.signals.reading import Window
from cloudcart.signals.scrape import Page, Scrape

_SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class SignalRow(NamedTuple):
    """One value; ``route`` (``GET /api/products``) is None for a service as a whole."""

    time: float
    service: str
    signal: str
    route: str | None
    value: float


def signals_table(scrapes: Iterable[Scrape], names: MetricNames = CLOUDCART) -> Any:
    """Return the Arrow table of :func:`signal_rows`: time (unix seconds), service, signal, route, value.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError("pyarrow", "load") from None
    schema = pyarrow.schema(
        [
            ("time", pyarrow.float64()),
            ("service", pyarrow.string()),
            ("signal", pyarrow.string()),
            ("route", pyarrow.string()),
            ("value", pyarrow.float64()),
        ]
    )
    rows = list(signal_rows(scrapes, names))
    columns = zip(*rows, strict=True) if rows else [()] * len(schema.names)
    arrays = [pyarrow.array(list(values), field.type) for values, field in zip(columns, schema, strict=True)]
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def signal_rows(scrapes: Iterable[Scrape], names: MetricNames = CLOUDCART) -> Iterator[SignalRow]:
    """Yield what happened between each two scrapes, at the middle of their times, and what gauges said at the second.

    Signals: ``traffic`` (1/s), ``errors`` (share), ``p50`` ``p95`` ``p99`` (s) per service and route; ``cpu`` (cores),
    ``memory`` (bytes), ``loop_lag`` (s, p99), ``pool`` (share in use), ``lag`` and ``outbox`` (events) and
    ``dead_letters`` (events since the scrape before) per process. Of a service with replicas, ``products`` is the
    requests of all and the process of the first, ``products/1`` the second.
    """
    history = ScrapeHistory(scrapes)
    for name, before, after in history.intervals():
        window = Window(before.time, after.time)
        if window.seconds <= 0:
            continue
        middle = (before.time + after.time) / 2
        for signal, route, value in _requests(history, window, name, names):
            yield SignalRow(middle, name, signal, route, value)
        for signal, value in _process(history, window, name if "/" in name else f"{name}/0", names):
            yield SignalRow(middle, name, signal, None, value)
        for signal, value in _gauges(after, names):
            yield SignalRow(after.time, name, signal, None, value)


def _requests(
    history: ScrapeHistory, window: Window, service: str, names: MetricNames
) -> Iterator[tuple[str, str | None, float]]:
    counted = history.increase(names.requests, window, service)
    if counted is None:
        return
    totals: dict[str | None, float] = defaultdict(float)
    errors: dict[str | None, float] = defaultdict(float)
    for labels, delta in counted.series:
        for route in (None, _route(labels, names)):
            totals[route] += delta
            errors[route] += delta if is_error_status(labels.get(names.status, "")) else 0.0
    for route, total in totals.items():
        yield "traffic", route, total / window.seconds
        if total:
            yield "errors", route, errors[route] / total
    yield from _percentiles(history, window, service, names)


def _percentiles(
    history: ScrapeHistory, window: Window, service: str, names: MetricNames
) -> Iterator[tuple[str, str | None, float]]:
    counted = history.increase(f"{names.duration}_count", window, service)
    timed = history.increase(f"{names.duration}_bucket", window, service)
    if counted is None or timed is None:
        return
    active = {_route(labels, names) for labels, delta in counted.series if delta}  # in a second, few of many
    series: dict[str | None, list[tuple[Labels, float]]] = defaultdict(list)
    for labels, delta in timed.series:
        if (place := _route(labels, names)) in active:
            series[None].append((labels, delta))
            series[place].append((labels, delta))
    for route, parts in series.items():
        buckets = Buckets.of(parts)
        for signal, share in _SHARES.items():
            value = buckets.quantile(share)
            if value is not None:
                yield signal, route, value


def _process(history: ScrapeHistory, window: Window, process: str, names: MetricNames) -> Iterator[tuple[str, float]]:
    cpu = history.increase(names.cpu, window, process)
    if cpu is not None:
        yield "cpu", sum(delta for _, delta in cpu.series) / window.seconds
    lag = history.increase(f"{names.loop_lag}_bucket", window, process)
    if lag is not None and (value := Buckets.of(lag.series).quantile(0.99)) is not None:
        yield "loop_lag", value
    consumed = history.increase(names.consumed, window, process)
    if consumed is not None:
        dead = sum(delta for labels, delta in consumed.series if labels.get(names.outcome) == DEAD_LETTER)
        yield "dead_letters", dead


def _gauges(page: Page, names: MetricNames) -> Iterator[tuple[str, float]]:
    sums = {
        metric: sum(values)
        for metric in (names.memory, names.pool_in_use, names.pool_size, names.consumer_lag, names.outbox)
        if (values := [value for _, value in page.metrics.series(metric)])
    }
    if names.memory in sums:
        yield "memory", sums[names.memory]
    if names.pool_in_use in sums and sums.get(names.pool_size):
        yield "pool", sums[names.pool_in_use] / sums[names.pool_size]
    if names.consumer_lag in sums:
        yield "lag", sums[names.consumer_lag]
    if names.outbox in sums:
        yield "outbox", sums[names.outbox]


def _route(labels: Labels, names: MetricNames) -> str:
    return f"{labels.get(names.method, '')} {labels.get(names.route, '')}".strip()
