"""When visits arrive: moments in seconds from the start, the same for the same profile and seed.

Pure arithmetic; who serves an arrival is the generator's business (``open_model``).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Literal

from cloudcart.load.profile import LoadProfile, Stage


def arrival_times(profile: LoadProfile) -> Iterator[float]:
    """Yield when each visit is due, in seconds from the start, in order; nothing for the closed model.

    An arrival process of rate 1 is stretched so that it follows the profile's rate: the time-rescaling theorem (Brown
    et al. 2002, "The time-rescaling theorem and its application to neural spike train data analysis") says that a
    Poisson process stays one. Evenly spaced arrivals stay evenly spaced within a stage.
    """
    return _stretched(_unit_process(profile.arrivals, profile.seed), profile.course)


def _unit_process(kind: Literal["constant", "poisson"], seed: int) -> Iterator[float]:
    """Yield moments that are one second apart: exactly, or on average and independently of each other."""
    if kind == "constant":
        return map(float, itertools.count())
    gaps = random.Random(seed)
    return itertools.accumulate(gaps.expovariate(1.0) for _ in itertools.count())


def _stretched(moments: Iterator[float], course: Sequence[Stage]) -> Iterator[float]:
    """Map moments of a process with rate 1 through the inverse of the course's cumulative rate."""
    begin = expected = 0.0  # of this stage: when it begins, and how many arrivals are expected before it
    moment = next(moments)
    for duration, rate in course:
        while moment < expected + duration * rate:
            yield begin + (moment - expected) / rate
            moment = next(moments)
        begin += duration
        expected += duration * rate
