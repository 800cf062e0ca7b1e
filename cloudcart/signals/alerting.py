"""When would somebody have been called: the first moment at which a multi-window burn-rate alert fires.

Replays the alerts of an :class:`~cloudcart.signals.slo.Slo` over the client's rows, as a Prometheus server would
evaluate their rules, but at every tenth of a second. Called by ``experiment`` for objectives on ``alert``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Final

from cloudcart.signals.reading import Reading, Window
from cloudcart.signals.rows import RowsSource
from cloudcart.signals.slo import BurnAlert, Slo

STEP: Final = 0.1
"""Seconds between two evaluations: how exact the answer is."""


def time_to_alert(rows: RowsSource, slo: Slo, watched: Window, *, route: str | None = None) -> Reading:
    """Return how long after the start of ``watched`` a page fires, exact to a tenth of a second.

    Windows reach back before ``watched``, as far as there are rows. Without a page by its end the value is None, and
    ``low`` says for how long none came, so that an objective ``alert > 20s`` (no false alarm) can be judged.

    Args:
        rows: what clients saw.
        slo: target and time scale.
        watched: from the first fault to the end of the load.
        route: only requests of this route.
    """
    answers = rows.answers(route)
    ratio = _ratios([moment for moment, _ in answers], [failed for _, failed in answers])
    samples = sum(moment in watched for moment, _ in answers)
    if _page(slo, ratio, watched.start):
        note = "a page was on already when the first fault began"
        return Reading("alert", None, "s", samples, None, None, watched, "client", route=route, note=note)
    for number in range(1, math.floor(watched.seconds / STEP + 1e-9) + 1):
        if page := _page(slo, ratio, watched.start + number * STEP):
            value = number * STEP
            rate = page.burn_rate(slo.period / slo.time_scale)
            note = f"burn rate over {rate:.3g} for {page.long:.3g} s and {page.short:.3g} s"
            return Reading("alert", value, "s", samples, value - STEP, value, watched, "client", route=route, note=note)
    low = watched.seconds or None
    return Reading("alert", None, "s", samples, low, None, watched, "client", route=route, note="no page came")


def _page(slo: Slo, ratio: Callable[[float, float], float | None], now: float) -> BurnAlert | None:
    firing = slo.firing(lambda seconds: ratio(now - seconds, now))
    return next((alert for alert in firing if alert.severity == "page"), None)


def _ratios(moments: list[float], failed: list[bool]) -> Callable[[float, float], float | None]:
    """Return a function from two moments to the ratio of errors among the answers between them."""
    errors = [0, *accumulate(failed)]

    def ratio(start: float, end: float) -> float | None:
        first, last = bisect_right(moments, start), bisect_right(moments, end)
        return (errors[last] - errors[first]) / (last - first) if last > first else None

    return ratio
