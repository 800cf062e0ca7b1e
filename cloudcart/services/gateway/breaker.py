"""Circuit breaker: after many failures in a row, an upstream is left alone for a while.

One per upstream. Pure bookkeeping on a clock; what a failure is, is decided by ``upstream``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum


class BreakerState(IntEnum):
    """What the metric ``circuit_breaker_state`` shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitBreaker:
    """Counts failures in a row.

    Args:
        failures: how many of them open the breaker; infinity switches it off.
        reset: seconds until an open breaker lets one trial call through.
        clock: seconds that only ever grow.
    """

    def __init__(self, failures: float, reset: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._reset = reset
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._trial = False

    @property
    def state(self) -> BreakerState:
        """The state now: an open breaker becomes half open when its time is over."""
        if self._opened is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._clock() - self._opened >= self._reset else BreakerState.OPEN

    def allow(self) -> bool:
        """Return whether a call may be made now; if so, its end must be told by one of the methods below."""
        if self._opened is None:
            return True
        if self._trial or self.state is BreakerState.OPEN:
            return False
        self._trial = True
        return True

    def succeeded(self) -> None:
        """The call succeeded: all is well again."""
        self._failures = 0
        self._opened = None
        self._trial = False

    def failed(self) -> None:
        """The call failed."""
        self._failures += 1
        if self._trial or (self._opened is None and self._failures >= self._limit):
            self._opened = self._clock()
        self._trial = False

    def abandoned(self) -> None:
        """The call was given up by its caller, which says nothing about the upstream."""
        self._trial = False

    def close(self) -> None:
        """Forget everything."""
        self.succeeded()
