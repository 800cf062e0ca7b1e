"""Bulkheads: each upstream has its own share of connections, so that a slow one cannot take them all.

With ``gateway.bulkhead`` off there is one pool instead, in which requests wait their turn; what a slow upstream
then does to the others is worth seeing once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from cloudcart.exceptions import UpstreamUnavailableError

_WAITING_PER_PLACE: Final = 8  # a burst may wait; an endless queue would only answer late what nobody waits for


class Bulkhead:
    """At most ``size`` requests in flight; a burst waits for its turn, for so long.

    Args:
        size: places.
        patience: seconds that a request waits for a place.
    """

    def __init__(self, size: int, patience: float) -> None:
        self._places = asyncio.Semaphore(size)
        self._patience = patience
        self._waiting = 0
        self._most_waiting = size * _WAITING_PER_PLACE

    def enter(self) -> Awaitable[object]:
        """Take a place, which :meth:`leave` gives back; what is returned is to be waited for.

        Raises:
            UpstreamUnavailableError: too many wait already; or, when waited for, none became free in time.
        """
        if not self._places.locked():
            return self._places.acquire()  # at once
        if self._waiting >= self._most_waiting:
            raise UpstreamUnavailableError("too many requests are waiting for this upstream already")
        return self._wait()

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()

    async def _wait(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise UpstreamUnavailableError("this upstream had no place for another request in time") from None
        finally:
            self._waiting -= 1


class SharedPool:
    """At most ``size`` requests in flight to all upstreams together; one more waits."""

    def __init__(self, size: int) -> None:
        self._places = asyncio.Semaphore(size)

    def enter(self) -> Awaitable[object]:
        """Take a place, which :meth:`leave` gives back; what is returned is to be waited for."""
        return self._places.acquire()

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()
