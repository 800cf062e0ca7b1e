"""The transactional outbox: an event exists if and only if the transaction that says so was committed.

A :class:`UnitOfWork` writes its events to the table ``outbox`` just before it commits; :meth:`Outbox.run` relays them
to Kafka at once, and after an outage as soon as it can. Delivery is at least once, in order for each topic and key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import Gauge
from sqlalchemy import BigInteger, Column, DateTime, Identity, MetaData, Table, Text, Uuid, text

from cloudcart.events import Event, encode
from cloudcart.exceptions import OutcomeUnknownError, StoreError
from cloudcart.stores.database import Database, Row, Session
from cloudcart.stores.publisher import Message, Publisher, message_of
from cloudcart.telemetry.metrics import Telemetry

_BATCH: Final = 200  # events published together
# Seconds after a round in which the next events gather: under load fewer rounds, each with more. A round is a batch for
# each partition, and a consumer gets few batches a second from a broker that hands out one of each partition at a time,
# as librdkafka's mock does: with rounds of 20 ms it fell behind by seconds at 100 check-outs a second.
_GATHER: Final = 0.05
_POLL: Final = 0.5  # seconds; a fallback for events of a process that died between commit and wake
_MEASURE: Final = 1.0  # seconds between two looks at what is pending
_LONGEST_PAUSE: Final = 1.0  # seconds between two tries during an outage
_LOG: Final = logging.getLogger(__name__)

PUBLISH: Final = """
INSERT INTO outbox (event_id, topic, key, payload)
SELECT * FROM unnest(%(event_ids)s::uuid[], %(topics)s::text[], %(keys)s::text[], %(payloads)s::text[])
"""
"""Writes events; part of a statement that does a whole transaction, which is a third of the cost of a unit of work.
Its parameters are those that :meth:`Outbox.parameters` returns."""
_NEXT: Final = "SELECT id, topic, key, payload FROM outbox ORDER BY id LIMIT %s"
_DONE: Final = "DELETE FROM outbox WHERE id = ANY(%s)"
_LEAD: Final = "SELECT pg_try_advisory_lock(hashtext('outbox'), hashtext(current_schema())) AS leader"
_PENDING: Final = """
SELECT count(*) AS pending, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age FROM outbox
"""


def outbox_table(metadata: MetaData) -> Table:
    """Add the table to a service's own tables."""
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("event_id", Uuid, nullable=False),
        Column("topic", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("payload", Text, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    )


class UnitOfWork(Session):
    """A transaction that can publish. Events are written last, when the rows they speak of are locked: so in order."""

    __slots__ = ("events",)

    events: list[Event]

    def publish(self, *events: Event) -> None:
        """Publish ``events`` if, and as soon as, this transaction commits."""
        self.events.extend(events)


class Outbox:
    """One service's outbox.

    Args:
        database: the service's own; it has the table.
        publisher: where events go, and are counted.
        telemetry: where it is shown how many wait.
        durable: keep events in the table until they are published; else publish them once, after the commit.
    """

    def __init__(self, database: Database, publisher: Publisher, telemetry: Telemetry, *, durable: bool = True) -> None:
        self._durable = durable
        self._database = database
        self._publisher = publisher
        self._work = asyncio.Event()
        registry = telemetry.registry
        self._pending = Gauge("outbox_pending", "Events committed and not yet published.", registry=registry)
        self._oldest = Gauge("outbox_oldest_age_seconds", "Age of the oldest of them.", registry=registry)

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[UnitOfWork]:
        """Give a transaction that can publish events; raises as :meth:`Database.transaction`."""
        async with self._database.transaction() as session:
            work = UnitOfWork.on(session)
            work.events = []
            yield work
            if work.events:
                await session.run(PUBLISH, self.parameters(work.events))
        if work.events:
            await self.committed(work.events)

    def parameters(self, events: Sequence[Event]) -> dict[str, object]:
        """Return the parameters of :data:`PUBLISH`, with which it writes ``events``."""
        kept = events if self._durable else ()
        return {
            "event_ids": [event.event_id for event in kept],
            "topics": [event.topic for event in kept],
            "keys": [event.key for event in kept],
            "payloads": [encode(event).decode() for event in kept],
        }

    async def committed(self, events: Sequence[Event]) -> None:
        """Relay now; whoever has committed a statement with :data:`PUBLISH` calls it."""
        if self._durable:
            self._work.set()
            return
        try:
            outcomes = await self._publisher.publish([message_of(event) for event in events])
        except StoreError:
            outcomes = [False] * len(events)
        for event, confirmed in zip(events, outcomes, strict=True):
            if not confirmed:
                _LOG.warning("%s %s is lost: Kafka did not confirm it", event.topic, event.event_id)

    async def run(self) -> None:
        """Relay until cancelled. With several processes of a service one relays and the others stand by."""
        pause = 0.05
        while True:
            try:
                async with self._database.dedicated_session() as session:
                    await self._stand_by(session)
                    while True:
                        await self._relay(session)
                        pause = 0.05
                        await asyncio.sleep(_GATHER)
                        await self._wait_for_work()
            except (StoreError, OutcomeUnknownError) as error:
                if pause == 0.05:
                    _LOG.warning("events wait in the outbox: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def measure(self) -> None:
        """Keep the metrics of what is pending up to date until cancelled."""
        while True:
            try:
                async with self._database.session() as session:
                    row = await session.row(_PENDING)
                assert row is not None
                self._pending.set(row["pending"])
                self._oldest.set(row["age"])
            except StoreError:
                pass  # the metrics keep their last value; the outage has metrics of its own
            await asyncio.sleep(_MEASURE)

    async def _stand_by(self, session: Session) -> None:
        while True:
            row = await session.row(_LEAD)
            if row is not None and row["leader"]:
                return
            await asyncio.sleep(_LONGEST_PAUSE)

    async def _relay(self, session: Session) -> None:
        """Publish what there is; stop at the first failure, so that nothing overtakes it."""
        while True:
            self._work.clear()
            rows = await session.rows(_NEXT, (_BATCH,))
            for wave in waves(rows):
                await self._publish(session, wave)
            if len(rows) < _BATCH:
                return

    async def _publish(self, session: Session, wave: list[Row]) -> None:
        messages = [Message(row["topic"], row["key"].encode(), row["payload"].encode()) for row in wave]
        outcomes = await self._publisher.publish(messages)
        done = [row for row, confirmed in zip(wave, outcomes, strict=True) if confirmed]
        await session.run(_DONE, ([row["id"] for row in done],))
        if len(done) < len(wave):
            raise StoreError("Kafka did not confirm an event")

    async def _wait_for_work(self) -> None:
        try:
            async with asyncio.timeout(_POLL):
                await self._work.wait()
        except TimeoutError:
            return


def waves(rows: Iterable[Row]) -> list[list[Row]]:
    """Split ``rows`` so that no wave has two of the same topic and key.

    A wave is published together, and the next only when all of it is confirmed: within one topic and key, a failed
    event is never overtaken by its successor.
    """
    result: list[list[Row]] = []
    level: dict[tuple[str, str], int] = {}
    for row in rows:
        place = row["topic"], row["key"]
        level[place] = number = level.get(place, -1) + 1
        if number == len(result):
            result.append([])
        result[number].append(row)
    return result
