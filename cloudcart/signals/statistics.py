"""The statistics behind a verdict: confidence intervals of quantiles, ratios and means, in plain Python.

Each function cites its source and is tested against published values. Samples are taken as independent, which requests
under overload are not quite: intervals are then somewhat too narrow. Called by the sources, never by users.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from cloudcart.signals.reading import CONFIDENCE

_TINY: Final = 1e-300
_PRECISION: Final = 1e-14
_BISECTIONS: Final = 200


def regularized_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), a and b above zero.

    Continued fraction DLMF 8.17.22, evaluated by the modified Lentz method (Press et al., Numerical Recipes, 6.4).
    """
    if not 0 < x < 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # converges quickly below, so use the symmetry DLMF 8.17.4 above
        return 1 - regularized_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _beta_fraction(a, b, x) / a


def _beta_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 100 + 20 * math.isqrt(int(max(a, b)) + 1)):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            c, d = _nonzero(1 + term / c), 1 / _nonzero(1 + term * d)
            result *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return result


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return the x with I_x(a, b) = share, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if regularized_beta(a, b, middle) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@lru_cache(maxsize=4096)
def clopper_pearson(hits: int, samples: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact interval of a share of which ``hits`` of ``samples`` were seen.

    C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26 (1934). It covers the truth at least as often as it says.
    """
    if not 0 <= hits <= samples or samples < 1:
        raise ValueError(f"{hits} of {samples} is not a share")
    tail = (1 - confidence) / 2
    low = beta_quantile(tail, hits, samples - hits + 1) if hits else 0.0
    high = beta_quantile(1 - tail, hits + 1, samples - hits) if hits < samples else 1.0
    return low, high


def binomial_cdf(hits: int, samples: int, share: float) -> float:
    """Return the probability of at most ``hits`` of ``samples``, each with probability ``share`` (DLMF 8.17.5)."""
    if hits < 0:
        return 0.0
    return 1.0 if hits >= samples else 1 - regularized_beta(hits + 1, samples - hits, share)


@lru_cache(maxsize=4096)
def binomial_interval(samples: int, share: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Return the counts between which a binomial variable falls with at least this probability, both included."""
    tail = (1 - confidence) / 2
    low = _first(0, samples, lambda k: binomial_cdf(k, samples, share) > tail)
    high = _first(0, samples, lambda k: binomial_cdf(k, samples, share) >= 1 - tail)
    return low, high


@lru_cache(maxsize=4096)
def quantile_ranks(samples: int, share: float, confidence: float = CONFIDENCE) -> tuple[int | None, int | None]:
    """Return the ranks (1 is the smallest) of the two samples between which the true quantile lies.

    The number of samples below the quantile is binomial whatever the distribution (H. A. David, H. N. Nagaraja, Order
    Statistics, 3rd ed., 7.1). The two tails are equal where there are samples enough. With fewer, the poorer side
    takes what the other does not need; None where even that does not bound the side, as for p99 with under 299 samples.
    """
    miss = 1 - confidence
    low, high = _lower_rank(samples, share, miss / 2), _upper_rank(samples, share, miss / 2)
    if high is None:
        high = _upper_rank(samples, share, miss)
        spent = 0.0 if high is None else 1 - binomial_cdf(high - 1, samples, share)
        low = _lower_rank(samples, share, miss - spent)
    elif low is None:
        low = _lower_rank(samples, share, miss)
        spent = 0.0 if low is None else binomial_cdf(low - 1, samples, share)
        high = _upper_rank(samples, share, miss - spent)
    return low, high


def _lower_rank(samples: int, share: float, tail: float) -> int | None:
    """Return the largest rank that is above the quantile with probability ``tail`` at most."""
    rank = _first(1, samples + 1, lambda k: binomial_cdf(k - 1, samples, share) > tail) - 1
    return rank or None


def _upper_rank(samples: int, share: float, tail: float) -> int | None:
    """Return the smallest rank that is below the quantile with probability ``tail`` at most."""
    rank = _first(1, samples + 1, lambda k: 1 - binomial_cdf(k - 1, samples, share) <= tail)
    return rank if rank <= samples else None


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the first number from ``low`` on for which a monotonous test holds; ``high`` if none below it does."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def samples_needed(share: float, confidence: float = CONFIDENCE) -> int:
    """Return how many samples bound a quantile on both sides: the largest (or smallest) one must lie beyond it.

    The largest of n samples is below the p-quantile with probability p^n (same source as :func:`quantile_ranks`).
    """
    return math.ceil(math.log(1 - confidence) / math.log(max(share, 1 - share)))


@lru_cache(maxsize=1024)
def student_t(degrees: int, confidence: float = CONFIDENCE) -> float:
    """Return how many standard errors a two-sided interval of a mean reaches (Student's t, DLMF 8.17.6 inverted)."""
    x = beta_quantile(1 - confidence, degrees / 2, 0.5)
    return math.sqrt(degrees * (1 / x - 1))


def mean_interval(
    mean: float, variance: float, samples: int, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Return Student's interval of a mean duration, from zero up; None for fewer than two samples."""
    if samples < 2:
        return None
    reach = student_t(samples - 1, confidence) * math.sqrt(variance / samples)
    return max(0.0, mean - reach), mean + reach


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least this share of the ordered samples does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(round(share * len(ordered), 9)) - 1)]
