"""Live notifications: connects what the worker has stored with the clients that listen at this moment.

In memory, for one process; who was not listening finds everything in the table. A stream that cannot go on ends, never
leaves something out: its client comes again with ``Last-Event-ID``. Used by the worker (send) and by the route of
server-sent events (listen).
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from cloudcart.exceptions import RefusedError
from cloudcart.services.notifications.models import Notification

_WAITING: Final = 100  # notifications that a slow client may be behind; then its stream ends
_STREAMS_OF_USER: Final = 10  # open at the same time at most, as tabs of a browser
_HEARTBEAT: Final = 15.0  # seconds; keeps proxies from closing a quiet stream


class Listener:
    """One client that listens; ``ended`` once it was too slow and gets nothing more than what waits for it."""

    def __init__(self) -> None:
        self.ended = False
        self._waiting = deque[Notification]()
        self._more = asyncio.Event()

    def put(self, notification: Notification) -> None:
        """Add what its stream will send."""
        if len(self._waiting) >= _WAITING:
            self.ended = True
        if not self.ended:
            self._waiting.append(notification)
        self._more.set()

    async def take(self, seconds: float) -> Notification | None:
        """Return the next notification, or None if there is none within so many seconds, or none will ever be."""
        if not self._waiting and not self.ended:
            self._more.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), seconds)
        return self._waiting.popleft() if self._waiting else None


class Listeners:
    """The clients that listen, by user."""

    def __init__(self) -> None:
        self._of_user: defaultdict[int, set[Listener]] = defaultdict(set)

    def send(self, notification: Notification) -> None:
        """Hand a notification to the clients of its user."""
        for listener in self._of_user.get(notification.user_id, ()):
            listener.put(notification)

    def check(self, user_id: int) -> None:
        """Do nothing while a user may have one more stream.

        Raises:
            RefusedError: 429, the user has as many as anybody may have.
        """
        if len(self._of_user.get(user_id, ())) >= _STREAMS_OF_USER:
            raise RefusedError(429, "you have too many of these streams open; close one", retry_after=5)

    @contextmanager
    def listen(self, user_id: int) -> Iterator[Listener]:
        """Give a listener that gets the user's notifications while the block runs; raises as :meth:`check`."""
        self.check(user_id)
        listener = Listener()
        self._of_user[user_id].add(listener)
        try:
            yield listener
        finally:
            self._of_user[user_id].discard(listener)
            if not self._of_user[user_id]:
                del self._of_user[user_id]


async def server_sent_events(
    listener: Listener, missed: AsyncIterator[Notification], seconds: float
) -> AsyncIterator[bytes]:
    """Yield the stream's text: what was missed, then what comes, with a comment now and then (HTML standard, 9.2).

    It ends after ``seconds``, and when the client was too slow.
    """
    end = time.monotonic() + seconds
    yield b": listening\n\n"
    last = 0
    async for notification in missed:
        last = notification.id
        yield _event(notification)
    while (left := end - time.monotonic()) > 0:
        found = await listener.take(min(_HEARTBEAT, left))
        if found is not None:
            if found.id > last:  # else it was among the missed
                yield _event(found)
        elif listener.ended:
            return
        else:
            yield b": still here\n\n"


def _event(notification: Notification) -> bytes:
    data = notification.model_dump_json()
    return f"id: {notification.id}\nevent: {notification.event_type}\ndata: {data}\n\n".encode()
