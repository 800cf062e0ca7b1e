"""What becomes of consumed messages: each event once in effect, what cannot be read to its dead-letter topic.

Called by the consumer with batches, and by the internal route with single events. All of a batch happens in one
transaction; offsets are committed afterwards, so a crash repeats messages, and the inbox makes repeats harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import structlog
from prometheus_client import Counter

from cloudcart.events import EVENTS, Event, decode
from cloudcart.services.notifications.messages import notice_of
from cloudcart.services.notifications.streams import Streams
from cloudcart.stores.consumer import Record
from cloudcart.stores.database import Database, Row
from cloudcart.stores.inbox import MOVE_WATERMARK, admit
from cloudcart.stores.publisher import Message, Publisher
from cloudcart.telemetry.metrics import DurationHistogram, Telemetry

DEAD_LETTERS: Final = ".dlq"

_STORE: Final = """
INSERT INTO notifications (user_id, kind, message, order_id)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[], %s::int[])
RETURNING id, user_id, kind, message, order_id, created_at
"""


class Worker:
    """Handles batches of messages.

    Args:
        database: the worker's own.
        publisher: for dead letters.
        streams: told of each new notification.
        telemetry: where outcomes and end-to-end times are counted.
    """

    def __init__(self, database: Database, publisher: Publisher, streams: Streams, telemetry: Telemetry) -> None:
        self._database = database
        self._publisher = publisher
        self._streams = streams
        self._log = structlog.get_logger()
        self._consumed = Counter(
            "kafka_events_consumed_total",
            "Messages by what became of them: handled, repeated (or from before a reset), dead.",
            ["topic", "outcome"],
            registry=telemetry.registry,
        )
        self._end_to_end = DurationHistogram(
            "event_end_to_end_seconds",
            "From an event's moment to its effect.",
            registry=telemetry.registry,
            labels=("topic",),
        )

    async def handle(self, records: Sequence[Record]) -> None:
        """Handle a batch, all or nothing.

        Raises:
            StoreError: PostgreSQL or Kafka is not there; nothing happened, try again.
            OutcomeUnknownError: PostgreSQL broke off during the commit; trying again is harmless.
        """
        events = []
        for record in records:
            try:
                events.append(decode(record.topic, record.value or b""))
            except ValueError as error:
                await self._bury(record, str(error))
        if events:
            await self.handle_events(events)

    async def handle_events(self, events: Sequence[Event]) -> None:
        """Handle decoded events, all or nothing; raises as :meth:`handle`."""
        async with self._database.transaction() as session:
            fresh = await admit(session, events)
            notices = [notice for event in fresh if (notice := notice_of(event))]
            stored: list[Row] = []
            if notices:
                stored = await session.rows(_STORE, tuple(map(list, zip(*notices, strict=True))))
        self._account(events, fresh)
        for row in stored:
            self._streams.send(row)

    async def reset(self) -> None:
        """Forget everything; events from before this moment are ignored when they arrive."""
        async with self._database.transaction() as session:
            await session.run("TRUNCATE notifications, inbox")
            await session.run(MOVE_WATERMARK)

    def _account(self, events: Sequence[Event], fresh: Sequence[Event]) -> None:
        now = datetime.now(UTC)
        new = {event.event_id for event in fresh}
        for event in events:
            outcome = "handled" if event.event_id in new else "repeated"
            self._consumed.labels(event.topic, outcome).inc()
        for event in fresh:
            self._end_to_end.labels(event.topic).observe(max(0.0, (now - event.occurred_at).total_seconds()))
            self._log.info("event", **event.model_dump(mode="json"))

    async def _bury(self, record: Record, error: str) -> None:
        """Put a message that is no event aside, as it was, where somebody can look at it."""
        headers = {
            "error": error[:500],
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
        }
        await self._publisher.publish([Message(record.topic + DEAD_LETTERS, record.key, record.value or b"", headers)])
        self._consumed.labels(record.topic, "dead").inc()
        self._log.warning("message is no event", **headers)


TOPICS: Final = tuple(EVENTS)
"""What the worker consumes: everything."""
