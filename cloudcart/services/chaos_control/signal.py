"""Waking up whoever waits for something to change, within one event loop.

Unlike an ``asyncio.Event`` there is nothing to clear, and waiting is always bounded. Used by the ledger and the list of
pollers.
"""

from __future__ import annotations

import asyncio


class Signal:
    """Wakes everybody who waits at the moment of :meth:`send`."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def send(self) -> None:
        """Wake up all who wait now."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, seconds: float | None) -> None:
        """Return at the next :meth:`send`, or after ``seconds`` (None: never)."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)
