"""Bulkhead: each upstream has its own share of the gateway, so that a slow one cannot sink the others.

Switched off, all upstreams share one pool of connections in which requests wait for their turn: what a slow upstream
then does to the others is worth seeing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from cloudcart.exceptions import UpstreamUnavailableError


class Bulkhead:
    """At most ``size`` requests in flight; one more is refused at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._in_flight = 0

    def enter(self) -> None:
        """Take a place, which :meth:`leave` gives back.

        Raises:
            UpstreamUnavailableError: all are taken.
        """
        if self._in_flight >= self._size:
            raise UpstreamUnavailableError("too many requests are waiting for this upstream already")
        self._in_flight += 1

    def leave(self) -> None:
        """Give the place back."""
        self._in_flight -= 1


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
