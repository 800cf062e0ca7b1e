"""Bulkhead: each upstream has its own share of the gateway, so that a slow one cannot sink the others.

Switched off, all upstreams share one pool of connections in which requests wait for their turn (an
``asyncio.Semaphore``): what a slow upstream then does to the others is worth seeing.
"""

from __future__ import annotations

from cloudcart.exceptions import UpstreamUnavailableError


class Bulkhead:
    """At most ``size`` requests in flight; one more is refused at once. Use with ``with``."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._in_flight = 0

    def __enter__(self) -> None:
        """Take a place.

        Raises:
            UpstreamUnavailableError: all are taken.
        """
        if self._in_flight >= self._size:
            raise UpstreamUnavailableError("too many requests are waiting for this upstream already")
        self._in_flight += 1

    def __exit__(self, *_: object) -> None:
        self._in_flight -= 1
