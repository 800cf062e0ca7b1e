"""From values to places on a chart: linear scales with round ticks.

Used by ``svg`` only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps ``low`` .. ``high`` linearly to ``start`` .. ``end`` (which may run backwards, as on a y axis)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value; what lies outside is put at the edge."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.0
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def round_ticks(high: float, count: int) -> list[float]:
    """Return about ``count`` round numbers from 0 up to the first that is not below ``high``.

    Raises:
        ValueError: ``high`` is not above zero.
    """
    if not high > 0:
        raise ValueError(f"an axis ends above zero, not at {high!r}")
    rough = high / count
    power = float(f"1e{math.floor(math.log10(rough))}")
    step = next(factor * power for factor in _STEPS if factor * power >= rough * (1 - 1e-9))
    return [step * i for i in range(math.ceil(high / step - 1e-9) + 1)]
