"""What a source answers: a value over a window, with its samples and the interval it stands for.

Plain frozen values, made by the sources (``rows``, ``scrape``, ``prometheus``) and by ``recovery``; read by ``judge``
and the report. Whether a reading is good enough is not said here: that takes an objective.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, Self

Unit = Literal["s", "ratio", "1/s", "bytes", "count"]
"""Base units inside; a CPU is measured as a ratio of one core."""

CONFIDENCE: Final = 0.95
"""How sure every interval is."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, unix seconds, start included, end not; ``name`` is the phase's, if it is one."""

    start: float
    end: float
    name: str = ""

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start

    def __contains__(self, moment: float) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True, slots=True)
class Reading:
    """One signal over one window.

    ``value`` is None when there is no data. ``low`` and ``high`` are the 95 % confidence interval, widened by the
    histogram's buckets where the value comes from buckets; None where that side is unbounded (too few samples). A count
    that is exact has both equal to the value.
    """

    signal: str
    value: float | None
    unit: Unit
    samples: int
    low: float | None
    high: float | None
    window: Window
    source: str
    service: str | None = None
    route: str | None = None
    note: str = ""

    @property
    def error_bound(self) -> float | None:
        """How far the truth may be from the value, at most; None when nobody knows."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return max(self.value - self.low, self.high - self.value)

    def noted(self, *notes: str) -> Self:
        """Return the same with remarks added."""
        return replace(self, note="; ".join(part for part in (self.note, *notes) if part))

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**asdict(self), "error_bound": self.error_bound}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the reading that :meth:`document` has written down."""
        values = {name: value for name, value in document.items() if name != "error_bound"}
        return cls(**{**values, "window": Window(**document["window"])})
