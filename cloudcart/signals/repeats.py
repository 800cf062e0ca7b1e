"""What differs from run to run: the noise floor of repeats, and comparing several runs with several others.

The interval of one reading knows chance within its run only. A machine that was warmer, a cache that lay differently:
that shows between runs alone, so a difference between single runs means something only beyond this floor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance

from cloudcart.signals.statistics import student_t


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """How far two single runs of the same thing differ by themselves, at most, with 95 % confidence."""

    runs: int
    mean: float
    spread: float
    floor: float

    @property
    def relative(self) -> float | None:
        """The floor as a share of the mean."""
        return self.floor / self.mean if self.mean else None


def noise_floor(values: Sequence[float]) -> NoiseFloor | None:
    """Return the noise floor of the same signal read in several runs of the same thing; None for fewer than two.

    The repeatability limit of ISO 5725-6:1994, 4.1.4: t times the square root of two times the standard deviation,
    with Student's t for so few runs instead of 1.96.
    """
    if len(values) < 2:
        return None
    spread = stdev(values)
    return NoiseFloor(len(values), fmean(values), spread, student_t(len(values) - 1) * math.sqrt(2) * spread)


def difference_of_runs(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float] | None:
    """Return the difference of the means of two sets of runs and its 95 % interval; None with too few runs to tell.

    B. L. Welch, "The generalization of Student's problem when several different population variances are involved",
    Biometrika 34 (1947). A single run against several is judged by their spread (a prediction interval: G. J. Hahn,
    W. Q. Meeker, Statistical Intervals, 2.3).
    """
    if min(len(before), len(after)) < 1 or max(len(before), len(after)) < 2:
        return None
    value = fmean(after) - fmean(before)
    if min(len(before), len(after)) == 1:
        many = before if len(before) > 1 else after
        reach = student_t(len(many) - 1) * stdev(many) * math.sqrt(1 + 1 / len(many))
        return value, value - reach, value + reach
    parts = [variance(values) / len(values) for values in (before, after)]
    reach = _welch_t(parts, before, after) * math.sqrt(sum(parts))
    return value, value - reach, value + reach


def _welch_t(parts: Sequence[float], before: Sequence[float], after: Sequence[float]) -> float:
    """Return t for the Welch-Satterthwaite degrees of freedom, rounded down, so that it errs on the wide side."""
    scale = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (before, after), strict=True))
    degrees = sum(parts) ** 2 / scale if scale else len(before) + len(after) - 2
    return student_t(max(1, math.floor(degrees)))
