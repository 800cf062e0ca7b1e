"""Bulkhead: each upstream has its own share of the gateway, so that a slow one cannot sink the others.

Switched off, all upstreams share one pool of connections in which requests wait for their turn (an
``asyncio.Semaphore``): what a slow upstream then does to the others is worth seeing.
"""

from __future__ import annotations

import asyncio
from typing import Final

from cloudcart.exceptions import UpstreamUnavailableError

_WAITING_PER_PLACE: Final = 8  # a burst may wait; an endless queue would only answer late what nobody waits for


class Bulkhead:
    """At most ``size`` requests in flight; a burst waits for its turn, for so long. Use with ``async with``.

    Args:
        size: places.
        patience: seconds that a request waits for a place.
    """

    def __init__(self, size: int, patience: float) -> None:
        self._places = asyncio.Semaphore(size)
        self._patience = patience
        self._waiting = 0
        self._most_waiting = size * _WAITING_PER_PLACE

    async def __aenter__(self) -> None:
        """Take a place.

        Raises:
            UpstreamUnavailableError: none became free in time, or too many wait already.
        """
        if not self._places.locked():
            await self._places.acquire()  # at once
            return
        if self._waiting >= self._most_waiting:
            raise UpstreamUnavailableError("too many requests are waiting for this upstream already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise UpstreamUnavailableError("this upstream had no place for another request in time") from None
        finally:
            self._waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self._places.release()
