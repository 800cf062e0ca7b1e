"""Handles every event of the shop once in effect: logs it, stores what users are told, sets aside the unreadable.

A batch is one transaction with the inbox; its offsets are committed afterwards (``stores.consumer``), so a crash
repeats deliveries, not effects. Called by the consumer and, for one event, by the internal route.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

import psycopg

from cloudcart.events import Event, decode
from cloudcart.exceptions import StoreError
from cloudcart.services.answers import Page
from cloudcart.services.lists import Listing, Lists
from cloudcart.services.notifications.messages import details_of, sentence_for
from cloudcart.services.notifications.models import Notification
from cloudcart.services.notifications.stream import Listeners
from cloudcart.stores.consumer import ConsumerMetrics, Record
from cloudcart.stores.database import Database, Row, Session
from cloudcart.stores.inbox import MOVE_WATERMARK, admit
from cloudcart.stores.publisher import Message, Publisher
from cloudcart.telemetry.metrics import DurationHistogram, Telemetry

_STORE: Final = """
INSERT INTO notifications (user_id, event_id, event_type, message, details, occurred_at)
SELECT * FROM unnest(%s::int[], %s::uuid[], %s::text[], %s::text[], %s::jsonb[], %s::timestamptz[])
RETURNING *
"""
_LIST: Final = Listing(
    "SELECT * FROM notifications WHERE user_id = %(user_id)s ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s",
    "SELECT count(*) AS total FROM (SELECT FROM notifications WHERE user_id = %(user_id)s LIMIT %(most)s) AS counted",
)
_AFTER: Final = "SELECT * FROM notifications WHERE user_id = %s AND id > %s ORDER BY id LIMIT %s"
_TOGETHER: Final = 500  # notifications that are looked for at the same time
_EMPTY: Final = "TRUNCATE inbox, inbox_watermark, notifications"
_LOG: Final = logging.getLogger(__name__)


class Unreadable(NamedTuple):
    """A message that cannot be handled, ever, and why."""

    record: Record
    error: str


class Worker:
    """The consumer of all topics.

    Args:
        database: the worker's own.
        publisher: where dead letters go.
        listeners: clients that listen live.
        telemetry: where the time from an event to its effect is counted.
        consumed: counts the events.
        dead_letters: set aside what cannot be read; else it is not handled, nor what is handed over with it.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        listeners: Listeners,
        telemetry: Telemetry,
        consumed: ConsumerMetrics,
        *,
        dead_letters: bool = True,
    ) -> None:
        self._dead_letters = dead_letters
        self._database = database
        self._publisher = publisher
        self._listeners = listeners
        self._lists = Lists()
        self._consumed = consumed.events
        self._end_to_end = DurationHistogram(
            "event_end_to_end_seconds",
            "From an event's occurrence to its effect.",
            registry=telemetry.registry,
            labels=("topic",),
        )

    async def handle(self, records: Sequence[Record]) -> None:
        """Handle messages, all or none.

        Raises:
            StoreError: PostgreSQL, or Kafka for a dead letter, is not there; hand them over again.
            ValueError: one cannot be read, and is not to be set aside.
        """
        readable: list[tuple[Record, Event]] = []
        unreadable: list[Unreadable] = []
        for record in records:
            try:
                readable.append((record, decode(record.topic, record.value or b"")))
            except ValueError as error:
                if not self._dead_letters:
                    raise
                unreadable.append(Unreadable(record, str(error)))
        unreadable += await self._store_readable(readable)
        await self._set_aside(unreadable)

    async def handle_event(self, topic: str, payload: bytes) -> None:
        """Handle one event that was handed over directly.

        Raises:
            ValueError: it cannot be read.
            StoreError: PostgreSQL is not there.
        """
        await self._store([decode(topic, payload)])

    async def page(self, user_id: int, page: Page) -> tuple[list[Row], int]:
        """Return one page of a user's notifications, newest first, and how many there are."""
        async with self._database.session() as session:
            return await self._lists.page(session, _LIST, {"user_id": user_id}, page)

    async def after(self, user_id: int, last_id: int | None) -> AsyncIterator[Notification]:
        """Yield all of a user's notifications after the last that was seen, oldest first; none if none was."""
        while last_id is not None:
            async with self._database.session() as session:
                rows = await session.rows(_AFTER, (user_id, last_id, _TOGETHER))
            for row in rows:
                yield Notification.model_validate(row)
            last_id = rows[-1]["id"] if len(rows) == _TOGETHER else None

    async def reset(self) -> None:
        """Forget everything; events that occurred before now are ignored when they come (lab only)."""
        async with self._database.transaction() as session:
            await session.run(_EMPTY)
            await session.run(MOVE_WATERMARK)

    async def _store_readable(self, readable: Sequence[tuple[Record, Event]]) -> list[Unreadable]:
        """Store a batch together; if PostgreSQL refuses its data, one by one, to find and return the culprits."""
        try:
            await self._store([event for _, event in readable])
            return []
        except psycopg.Error:
            culprits = []
        for record, event in readable:
            try:
                await self._store([event])
            except psycopg.Error as error:
                culprits.append(
                    Unreadable(record, f"{record.topic}: the data cannot be stored ({type(error).__name__})")
                )
        return culprits

    async def _store(self, events: Sequence[Event]) -> None:
        if not events:
            return
        async with self._database.transaction() as session:
            fresh = await admit(session, events)
            rows = await _add_notifications(session, fresh)
        self._account(events, fresh)
        for row in rows:
            self._listeners.send(Notification.model_validate(row))

    def _account(self, events: Sequence[Event], fresh: Sequence[Event]) -> None:
        now = time.time()
        for event in fresh:
            self._consumed.labels(event.topic, "handled").inc()
            self._end_to_end.labels(event.topic).observe(max(0.0, now - event.occurred_at.timestamp()))
            _LOG.info("event", extra={"event_type": event.topic, "event_details": event.model_dump(mode="json")})
        ignored = Counter(event.topic for event in events) - Counter(event.topic for event in fresh)
        for topic, count in ignored.items():
            self._consumed.labels(topic, "ignored").inc(count)

    async def _set_aside(self, unreadable: Sequence[Unreadable]) -> None:
        """Put messages on their dead-letter topics: the original bytes, with where they were and why in headers.

        Raises:
            StoreError: Kafka did not confirm.
        """
        if not unreadable:
            return
        if not all(await self._publisher.publish([_dead_letter(each) for each in unreadable])):
            raise StoreError("Kafka did not confirm a dead letter")
        for record, error in unreadable:
            self._consumed.labels(record.topic, "dead_letter").inc()
            _LOG.warning("%s[%d]@%d was set aside: %s", record.topic, record.partition, record.offset, error)


async def _add_notifications(session: Session, events: Sequence[Event]) -> list[Row]:
    rows = [
        (
            getattr(event, "user_id"),  # noqa: B009  # only those with a sentence have it, which types cannot tell
            event.event_id,
            event.topic,
            sentence,
            json.dumps(details_of(event)),
            event.occurred_at,
        )
        for event in events
        if (sentence := sentence_for(event))
    ]
    return await session.rows(_STORE, tuple(map(list, zip(*rows, strict=True)))) if rows else []


def _dead_letter(unreadable: Unreadable) -> Message:
    record, error = unreadable
    headers = {
        "content-type": "application/octet-stream",  # it may be JSON and it may not
        "error": error.encode("ascii", "replace").decode()[:500],
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
    }
    return Message(f"{record.topic}.dlq", record.key, record.value or b"", headers)
