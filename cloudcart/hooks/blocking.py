"""Faults in code that does not know ``async``: a passage whose waits block the thread, and how to run it to its end.

Used by the hooks for synchronous clients. A coroutine that only blocks never suspends, so no event loop is needed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from cloudcart.chaos.exchange import Passage
from cloudcart.chaos.record import ActiveFault

T = TypeVar("T")


class BlockingPassage(Passage):
    """A passage whose waits block the thread, for ``limit`` seconds at most."""

    limit: float | None

    async def _pause(
        self, record: ActiveFault, seconds: float, _wait: Callable[[asyncio.Future[None]], Awaitable[None]]
    ) -> None:
        """Wait as the base class does, in parts that end with the lease, and not past the limit."""
        allowed = seconds if self.limit is None else min(seconds, self.limit)
        end = time.monotonic() + allowed
        while (left := min(end - time.monotonic(), self._active.seconds_left(record))) > 0:
            released = threading.Event()
            record.waiting.add(released.set)
            if not record.ended:
                released.wait(left)
            record.waiting.discard(released.set)
        if allowed < seconds and time.monotonic() >= end:
            raise TimeoutError


def completed(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return what it returns."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("what a hook calls in synchronous code must not wait for an event loop")
