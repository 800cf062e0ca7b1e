"""Live notifications as server-sent events: each open page of a user hears of what is stored for that user.

Lives in this process's memory; what a page missed while it was away it gets by ``Last-Event-ID``, from the table.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from cloudcart.services.notifications.models import Notification
from cloudcart.stores.database import Row

_HEARTBEAT: Final = 15.0  # seconds; shorter than what proxies take for a dead connection
_BACKLOG: Final = 100  # notifications a slow page may be behind before it is cut off, to come back with its last id


class Streams:
    """Who listens, by user."""

    def __init__(self) -> None:
        self._listeners: defaultdict[int, set[asyncio.Queue[Row | None]]] = defaultdict(set)

    def send(self, row: Row) -> None:
        """Tell every page of the user that the notification is for."""
        for queue in tuple(self._listeners.get(row["user_id"], ())):
            if queue.qsize() >= _BACKLOG:
                self._drop(row["user_id"], queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(row)

    async def listen(self, user_id: int, missed: Callable[[], Awaitable[list[Row]]]) -> AsyncIterator[bytes]:
        """Yield the stream's bytes for one page: what it missed, then what comes, and a heartbeat in between.

        ``missed`` is asked only once this page is listening, so that nothing falls between the two.
        """
        queue: asyncio.Queue[Row | None] = asyncio.Queue()
        self._listeners[user_id].add(queue)
        try:
            yield b": connected\n\n"
            last = 0
            for row in await missed():
                last = row["id"]
                yield server_sent_event(row)
            while True:
                try:
                    row_or_end = await asyncio.wait_for(queue.get(), _HEARTBEAT)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if row_or_end is None:
                    return
                if row_or_end["id"] > last:
                    yield server_sent_event(row_or_end)
        finally:
            self._drop(user_id, queue)

    async def close(self) -> None:
        """End every stream, as when the process stops."""
        for user_id, queues in tuple(self._listeners.items()):
            for queue in tuple(queues):
                self._drop(user_id, queue)
                queue.put_nowait(None)

    def _drop(self, user_id: int, queue: asyncio.Queue[Row | None]) -> None:
        self._listeners[user_id].discard(queue)
        if not self._listeners[user_id]:
            del self._listeners[user_id]


def server_sent_event(row: Row) -> bytes:
    """Return a notification in the wire format of server-sent events (WHATWG HTML, section 9.2)."""
    document = Notification.model_validate(row).model_dump_json()
    return f"id: {row['id']}\nevent: {row['kind']}\ndata: {document}\n\n".encode()
