"""Live notifications: connects what the worker has stored with the clients that listen at this moment.

In memory, for one process; who was not listening finds everything in the table. Used by the worker (send) and by the
route of server-sent events (listen).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from cloudcart.services.notifications.models import Notification

_WAITING: Final = 100  # notifications that a slow client may be behind; then it misses some
_HEARTBEAT: Final = 15.0  # seconds; keeps proxies from closing a quiet stream

Queue = asyncio.Queue[Notification]


class Listeners:
    """The clients that listen, by user."""

    def __init__(self) -> None:
        self._queues: defaultdict[int, set[Queue]] = defaultdict(set)

    def send(self, notification: Notification) -> None:
        """Hand a notification to the clients of its user."""
        for queue in self._queues.get(notification.user_id, ()):
            with suppress(asyncio.QueueFull):
                queue.put_nowait(notification)

    @contextmanager
    def listen(self, user_id: int) -> Iterator[Queue]:
        """Give a queue that gets the user's notifications while the block runs."""
        queue = Queue(_WAITING)
        self._queues[user_id].add(queue)
        try:
            yield queue
        finally:
            self._queues[user_id].discard(queue)
            if not self._queues[user_id]:
                del self._queues[user_id]


async def server_sent_events(queue: Queue, missed: list[Notification]) -> AsyncIterator[bytes]:
    """Yield the stream's text: what was missed, then what comes, with a comment now and then (HTML standard, 9.2)."""
    yield b": listening\n\n"
    last = 0
    for notification in missed:
        last = notification.id
        yield _event(notification)
    while True:
        try:
            notification = await asyncio.wait_for(queue.get(), _HEARTBEAT)
        except TimeoutError:
            yield b": still here\n\n"
            continue
        if notification.id > last:  # else it was among the missed
            yield _event(notification)


def _event(notification: Notification) -> bytes:
    data = notification.model_dump_json()
    return f"id: {notification.id}\nevent: {notification.event_type}\ndata: {data}\n\n".encode()
