"""Bulkhead: each upstream has its own share of the gateway, so that a slow one cannot sink the others.

Switched off, all upstreams share one pool of connections in which requests wait for their turn: what a slow upstream
then does to the others is worth seeing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final

from cloudcart.exceptions import UpstreamUnavailableError

_WAITING_PER_PLACE: Final = 8  # a burst may wait; an endless queue would only answer late what nobody waits for


class Bulkhead:
    """At most ``size`` requests in flight; a burst waits for its turn, for so long and so many.

    Args:
        size: places.
        patience: seconds that a request waits for a place.
    """

    def __init__(self, size: int, patience: float) -> None:
        self._size = size
        self._patience = patience
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def enter(self) -> Awaitable[object] | None:
        """Take a place, which :meth:`leave` gives back; what is returned, if anything, is to be waited for first.

        Raises:
            UpstreamUnavailableError: too many wait already; or, when waited for, no place became free in time.
        """
        if self._in_flight < self._size:
            self._in_flight += 1
            return None
        if len(self._waiting) >= self._size * _WAITING_PER_PLACE:
            raise UpstreamUnavailableError("too many requests are waiting for this upstream already")
        return self._turn()

    def leave(self) -> None:
        """Give the place back, or hand it to who has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._in_flight -= 1

    async def _turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if not turn.cancelled():
                self.leave()  # the place came at the moment of giving up
            with suppress(ValueError):
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise UpstreamUnavailableError("this upstream had no place for another request in time") from None
            raise


class SharedPool:
    """At most ``size`` requests in flight to all upstreams together; one more waits."""

    def __init__(self, size: int) -> None:
        self._places = asyncio.Semaphore(size)

    def enter(self) -> Awaitable[object] | None:
        """Take a place, which :meth:`leave` gives back; what is returned is to be waited for."""
        return self._places.acquire()

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()
