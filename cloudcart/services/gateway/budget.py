"""Retry budget: repeats are a share of requests, so that retries cannot become the storm they should help against.

One per upstream. Counted over the last ten seconds in steps of one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

_SECONDS: Final = 10
_ALWAYS: Final = 10  # repeats in ten seconds that are allowed however few the requests


class RetryBudget:
    """Says whether one more repeat is within the budget.

    Args:
        share: repeats for each request, from 0 to 1.
        clock: seconds that only ever grow.
    """

    def __init__(self, share: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self.clear()

    def requested(self) -> None:
        """Count a request (not a repeat)."""
        self._this_second()[1] += 1

    def take(self) -> bool:
        """Return whether a repeat may be sent now, and count it if so."""
        second = self._this_second()
        requests = sum(count for _, count, _ in self._seconds)
        repeats = sum(count for _, _, count in self._seconds)
        if repeats >= max(_ALWAYS, int(self._share * requests)):
            return False
        second[2] += 1
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._seconds: deque[list[int]] = deque([[int(self._clock()), 0, 0]])  # [second, requests, repeats]

    def _this_second(self) -> list[int]:
        now = int(self._clock())
        if self._seconds[-1][0] != now:
            self._seconds.append([now, 0, 0])
            while self._seconds[0][0] <= now - _SECONDS:
                self._seconds.popleft()
        return self._seconds[-1]
