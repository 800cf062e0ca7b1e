"""How many entries a list has in all, at a cost that does not grow with it.

Up to :data:`EXACT` the total is counted for each request, by an index. Beyond that nobody counts along: the total is
what it was a moment ago. Used by the services whose lists grow for ever.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

EXACT: Final = 10_000
_FRESH: Final = 2.0  # seconds
_REMEMBERED: Final = 1000  # lists

Count = Callable[[int], Awaitable[int]]
"""Counts the entries of a list, as many as the argument at most."""


class Totals:
    """The totals of one service's lists.

    Args:
        clock: seconds that only ever grow.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[Hashable, tuple[int, float]] = {}

    async def of(self, key: Hashable, count: Count) -> int:
        """Return the total of a list.

        Args:
            key: tells it from others.
            count: counts it.
        """
        total = await count(EXACT)
        if total < EXACT:
            return total
        total, until = self._known.get(key, (0, 0.0))
        if self._clock() >= until:
            total = await count(2**31 - 1)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = total, self._clock() + _FRESH
        return total
