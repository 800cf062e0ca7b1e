"""Time to recover: how long after the last heal the shop was as good as before.

A pure function on rows, so that it can be asked again and again while load still runs. It slides a window of one second
over the requests by when they were due; the shop has recovered at the first moment from which these windows are as good
as the steady state's, and stay so for a while.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloudcart.signals.amounts import format_amount
from cloudcart.signals.reading import Reading, Window
from cloudcart.signals.rows import RowsSource

WINDOW: Final = 1.0
"""Seconds over which the shop must be good."""

STEP: Final = 0.1
"""Seconds by which that window slides: how exact the answer is."""

HOLD: Final = 2.0
"""Seconds for which it must stay good to count as recovered."""

_SLACK: Final = 1.5
_LEAST_SLACK: Final = 0.010  # seconds of p95: half of a few milliseconds is noise
_RARE: Final = 4.0  # standard deviations of a Poisson count below its mean


@dataclass(frozen=True, slots=True)
class SteadyState:
    """What a second must be like to be as good as the steady state.

    Args:
        p95: latency in seconds, at most.
        errors: share of requests, at most.
        traffic: requests a second, at least; fewer mean that answers are still outstanding.
    """

    p95: float
    errors: float = 0.0
    traffic: float = 0.0

    @classmethod
    def seen(cls, rows: RowsSource | Any, window: Window) -> SteadyState | None:
        """Return the steady state that rows show: its worst second and half as much again; None without rows.

        Fewer requests in a second than chance explains are taken for answers still outstanding. It takes some five
        requests a second to tell.
        """
        source = _source(rows)
        seconds = [_Second.of(source, start) for start in _steps(window.start, window.end - WINDOW)]
        known = [second for second in seconds if second is not None]
        if not known:
            return None
        p95 = max(second.p95 for second in known)
        traffic = source.read("traffic", window).value or 0.0
        return cls(
            p95=max(p95 * _SLACK, p95 + _LEAST_SLACK),
            errors=min(1.0, max(second.errors for second in known) * _SLACK),
            traffic=max(0.0, traffic - _RARE * math.sqrt(traffic)),
        )

    def met_by(self, second: _Second | None) -> bool:
        """Say whether a second was as good."""
        if second is None:
            return False
        return second.p95 <= self.p95 and second.errors <= self.errors and second.traffic >= self.traffic


@dataclass(frozen=True, slots=True)
class _Second:
    p95: float
    errors: float
    traffic: float

    @classmethod
    def of(cls, source: RowsSource, start: float) -> _Second | None:
        window = Window(start, start + WINDOW)
        p95, errors = source.read("p95", window), source.read("errors", window)
        if p95.value is None or errors.value is None:
            return None
        return cls(p95.value, errors.value, p95.samples / WINDOW)


def time_to_recover(
    rows: RowsSource | Mapping[str, Sequence[Any]] | Any,
    healed_at: float,
    steady: SteadyState,
    *,
    until: float,
    hold: float = HOLD,
) -> Reading:
    """Return the time from the last heal to recovery, exact to a tenth of a second.

    Args:
        rows: a source of rows, or what one is made from; also the rows so far of a load that still runs.
        healed_at: unix seconds of the last heal.
        steady: what a good second is.
        until: up to when rows are complete, unix seconds: the deadline, or now less the time a request may take.
        hold: for how long it must stay good.

    Returns:
        a reading of ``recovery``; as long as the shop has not recovered its value is None and its ``low`` says how
        long it has not, so that an objective is judged to fail once that exceeds its bound.
    """
    source = _source(rows)
    watched = Window(healed_at, until)
    samples = source.read("traffic", watched).samples if until > healed_at else 0
    moment = _recovered_at(source, watched, steady, hold)
    if moment is not None:
        value = moment - healed_at
        low = max(0.0, value - STEP)
        return Reading("recovery", value, "s", samples, low, value + STEP, watched, "client")
    waited = max(0.0, until - WINDOW - hold - healed_at)
    note = (
        f"not yet as good as the steady state (p95 up to {format_amount(steady.p95, 's')}, errors up to "
        f"{format_amount(steady.errors, 'ratio')}, for {hold + WINDOW:g} s on end)"
    )
    return Reading("recovery", None, "s", samples, waited or None, None, watched, "client", note=note)


def _recovered_at(source: RowsSource, watched: Window, steady: SteadyState, hold: float) -> float | None:
    good_since: float | None = None
    for start in _steps(watched.start, watched.end - WINDOW):
        if not steady.met_by(_Second.of(source, start)):
            good_since = None
            continue
        good_since = start if good_since is None else good_since
        if start - good_since >= hold - STEP / 2:
            return good_since
    return None


def _steps(start: float, end: float) -> Iterator[float]:
    for number in range(math.floor((end - start) / STEP + 1e-9) + 1):
        yield start + number * STEP


def _source(rows: Any) -> RowsSource:
    return rows if isinstance(rows, RowsSource) else RowsSource(rows)
