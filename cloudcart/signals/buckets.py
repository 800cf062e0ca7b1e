"""What a histogram's buckets say: count, mean, and quantiles with the bucket they lie in.

Quantiles are interpolated in a straight line within their bucket, as PromQL's ``histogram_quantile`` does, so both
sources give the same figure; the bucket's edges are the bound of the error. Used by ``metric_source`` and ``table``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Self

from cloudcart.signals.exposition import Labels
from cloudcart.signals.statistics import quantile_ranks


@dataclass(frozen=True, slots=True)
class Buckets:
    """``edges`` are the finite upper edges, rising; ``counts`` has one number more: what lies beyond the last edge."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]

    @classmethod
    def of(cls, series: Iterable[tuple[Labels, float]]) -> Self:
        """Add up ``_bucket`` series (cumulative, with a label ``le``), whatever their other labels are."""
        cumulative: dict[float, float] = {}
        for labels, count in series:
            edge = float(labels["le"])
            cumulative[edge] = cumulative.get(edge, 0.0) + count
        edges = sorted(cumulative)
        counts = (
            (cumulative[edges[0]], *(cumulative[b] - cumulative[a] for a, b in pairwise(edges))) if edges else (0.0,)
        )
        if edges and edges[-1] == float("inf"):
            return cls(tuple(edges[:-1]), tuple(counts))
        return cls(tuple(edges), (*counts, 0.0) if edges else counts)

    @property
    def count(self) -> int:
        """How many were observed."""
        return round(sum(self.counts))

    def quantile(self, share: float) -> float | None:
        """Return the interpolated quantile; None without observations. Beyond the last edge it is that edge."""
        total = sum(self.counts)
        if total <= 0 or not self.edges:
            return None
        rank = share * total
        cumulative = list(accumulate(self.counts))
        place = bisect_left(cumulative, rank)
        if place >= len(self.edges):
            return self.edges[-1]
        lower = self.edges[place - 1] if place else 0.0
        inside = (rank - (cumulative[place] - self.counts[place])) / self.counts[place]
        return lower + inside * (self.edges[place] - lower)

    def bounds(self, rank: int) -> tuple[float, float | None]:
        """Return the edges between which the ``rank``-th smallest observation lies; None: beyond the last edge."""
        place = bisect_left(list(accumulate(self.counts)), rank)
        lower = self.edges[place - 1] if place else 0.0
        return lower, self.edges[place] if place < len(self.edges) else None

    def interval(self, share: float) -> tuple[float | None, float | None]:
        """Return the 95 % interval of a quantile, widened to the edges of the buckets that its two samples lie in."""
        low_rank, high_rank = quantile_ranks(self.count, share)
        low = self.bounds(low_rank)[0] if low_rank else None
        high = self.bounds(high_rank)[1] if high_rank else None
        return low, high

    def variance(self, mean: float) -> float:
        """Return the variance around ``mean`` as if each observation lay at its bucket's upper edge or lower, the
        farther.

        That is too much rather than too little; what lies beyond the last edge counts as lying there.
        """
        spread = 0.0
        for place, count in enumerate(self.counts):
            lower = self.edges[place - 1] if place else 0.0
            upper = self.edges[place] if place < len(self.edges) else lower
            spread += count * max((lower - mean) ** 2, (upper - mean) ** 2)
        return spread / max(1, self.count - 1)
