"""The difference of two readings of one signal, with its interval: between two runs, or between the arms of one.

Works on the intervals that the readings bring along, so latency percentiles, means and shares are compared the same
way. What it means that there is a difference is the caller's to say; how much two runs of the same differ anyway is
``repeats``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudcart.signals.golden import golden_signal
from cloudcart.signals.reading import Reading
from cloudcart.signals.source import TOLERANCE


@dataclass(frozen=True, slots=True)
class Difference:
    """``after`` less ``before`` in the signal's unit, and its 95 % interval; None where a side is unbounded."""

    before: Reading
    after: Reading
    value: float | None
    low: float | None
    high: float | None

    @property
    def relative(self) -> float | None:
        """The difference as a share of ``before``; None where that is zero or unknown."""
        if self.value is None or not self.before.value:
            return None
        return self.value / self.before.value

    @property
    def shown(self) -> bool:
        """Whether a difference was shown: the interval does not hold zero.

        What is exact has no interval: traffic differs beyond the sources' tolerance; of saturation, one run shows
        nothing.
        """
        if self.value is None or (self.low is None and self.high is None):
            return False
        if self.low == self.high:
            larger = max(abs(self.before.value or 0.0), abs(self.after.value or 0.0))
            return _more_is_better(self.before.signal) and abs(self.value) > TOLERANCE * larger
        return (self.low is not None and self.low > 0) or (self.high is not None and self.high < 0)

    @property
    def worse(self) -> bool:
        """Whether it was shown to be worse: more latency, errors or saturation, or less traffic."""
        return self.shown and self.value is not None and (self.value > 0) is not _more_is_better(self.before.signal)

    @property
    def word(self) -> str:
        """``worse``, ``better``, ``no difference shown`` or ``no data``."""
        if self.value is None:
            return "no data"
        if not self.shown:
            return "no difference shown"
        return "worse" if self.worse else "better"

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "signal": self.before.signal,
            "unit": self.before.unit,
            "phase": self.before.window.name,
            "source": self.before.source,
            "service": self.before.service,
            "route": self.before.route,
            "before": self.before.value,
            "after": self.after.value,
            "samples": [self.before.samples, self.after.samples],
            "difference": self.value,
            "low": self.low,
            "high": self.high,
            "word": self.word,
        }


def difference(before: Reading, after: Reading) -> Difference:
    """Return ``after`` less ``before`` with its interval.

    The square root of the sum of squares of the distances to the single intervals' ends ("method of variance estimates
    recovery": G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures", Statistics in Medicine
    27 (2008)); for shares it is method 10 of R. G. Newcombe, "Interval estimation for the difference between
    independent proportions", Statistics in Medicine 17 (1998), with exact instead of score limits. It takes the two
    for independent. It knows nothing of what differs from run to run beside chance.
    """
    if before.value is None or after.value is None:
        return Difference(before, after, None, None, None)
    value = after.value - before.value
    down = _distance(after.value, after.low, before.value, before.high)
    up = _distance(after.value, after.high, before.value, before.low)
    return Difference(before, after, value, None if down is None else value - down, None if up is None else value + up)


def _distance(first: float, first_end: float | None, second: float, second_end: float | None) -> float | None:
    if first_end is None or second_end is None:
        return None
    return math.hypot(first - first_end, second - second_end)


def _more_is_better(signal: str) -> bool:
    return golden_signal(signal).family == "traffic"


def same_question(reading: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a reading's document is about, so that those of two runs can be matched."""
    return (
        reading["window"]["name"],
        reading["source"],
        reading["service"],
        reading["route"],
        reading["signal"],
    )
