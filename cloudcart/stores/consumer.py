"""Consumes topics of Kafka through FastStream: batches, each committed after it was handled, at least once.

An :class:`EventConsumer` hands raw messages to a callable and does not go on before that has succeeded, so nothing is
lost while a database is away; it outlives the broker, too. Used by the worker and by the product service. Not here:
what the messages mean.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage, Topic
from prometheus_client import Counter, Gauge

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.messaging import through_faults
from cloudcart.exceptions import MessageRejectedError, StoreError
from cloudcart.stores.publisher import knock, quiet_broker
from cloudcart.telemetry.metrics import Telemetry


class Record(Protocol):
    """A message as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


Handle = Callable[[Sequence[Record]], Awaitable[None]]
"""Handles messages, all or none. It raises when it cannot now: then it is called again with the same messages."""

_POLL: Final = 50  # milliseconds that the broker may wait for messages; the mock does not answer before
_LOOK: Final = 40  # milliseconds between two looks at what was fetched
_GATHER: Final = 0.04  # seconds after a batch in which the next one gathers: fewer transactions under load
_MEASURE: Final = 1.0  # seconds between two looks at the lag
_PATIENCE: Final = 0.5  # seconds for an orderly stop
_PAUSE: Final = 0.5  # seconds before a batch, or a connection, is tried again
_LOG: Final = logging.getLogger(__name__)


class ConsumerMetrics:
    """What is counted of events by all consumers of a process.

    Attributes:
        events: by topic and outcome: handled, ignored (a repeat), unreadable, ..; whoever handles events counts them.
        lag: messages not yet handled, by topic; the consumer measures it.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        registry = telemetry.registry
        self.events = Counter("kafka_events_consumed_total", "Events handled.", ["topic", "outcome"], registry=registry)
        self.lag = Gauge("kafka_consumergroup_lag", "Messages not yet handled.", ["topic"], registry=registry)


class EventConsumer:
    """One member of a consumer group. Belongs to one event loop.

    Args:
        bootstrap: address of the cluster, ``host:port``.
        group: the consumer group, which is also how the cluster knows this process.
        topics: what it reads, from the beginning if the group is new.
        handle: what becomes of the messages.
        batch: messages handed over together, at most.
        session: seconds of silence after which the cluster gives this member's partitions to another.
        faults: what is active in this process; acts on each message before it is handled.
        metrics: where the lag is shown.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        topics: Sequence[str],
        handle: Handle,
        *,
        batch: int = 100,
        session: float = 6.0,
        faults: ActiveFaults,
        metrics: ConsumerMetrics,
    ) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._topics = topics
        self._handle = handle
        self._batch = batch
        self._session = session
        self._faults = faults
        self._next: dict[TopicPartition, int] = {}
        self._lag = metrics.lag

    async def run(self) -> None:
        """Consume until cancelled; the first join of a group takes seconds."""
        told = False
        while True:
            try:
                await knock(self._bootstrap)
                told = False
                await self._consume()
            except (KafkaError, OSError, StoreError) as error:
                if not told:
                    _LOG.warning("%s waits for Kafka: %s", self._group, error)
                told = True
            await asyncio.sleep(_PAUSE)

    async def _consume(self) -> None:
        """Be a member of the group until that fails."""
        broker = quiet_broker(self._bootstrap, self._group)
        subscriber = broker.subscriber(
            *(Topic(name, declare=False) for name in self._topics),
            group_id=self._group,
            auto_offset_reset="earliest",
            batch=True,
            max_records=self._batch,
            batch_timeout_ms=_LOOK,
            fetch_max_wait_ms=_POLL,
            session_timeout_ms=int(self._session * 1000),
            heartbeat_interval_ms=int(self._session * 1000 / 5),
            ack_policy=AckPolicy.MANUAL,
            parser=_no_headers,
            decoder=_raw,
        )
        subscriber(self._take)
        try:
            await broker.start()
            _LOG.info("%s consumes %s", self._group, ", ".join(self._topics))
            while True:
                await self._measure(subscriber.consumer)
                await asyncio.sleep(_MEASURE)
        finally:
            await _stop(broker, subscriber.consumer)

    async def _take(self, message: KafkaMessage) -> None:
        """Handle one batch, as often as it takes, and commit it. FastStream calls this; it never raises."""
        records = message.raw_message if isinstance(message.raw_message, tuple) else (message.raw_message,)
        if self._faults.any:
            for record in records:
                await self._until_handled(partial(self._handle_under_faults, record))
        else:
            await self._until_handled(lambda _number: self._handle(records))
        for record in records:
            self._next[TopicPartition(record.topic, record.partition)] = record.offset + 1
        try:
            await message.ack()
        except KafkaError as error:
            _LOG.debug("an offset was not committed, so messages will come again: %r", error)
        if len(records) < self._batch:
            await asyncio.sleep(_GATHER)

    async def _handle_under_faults(self, record: Record, number: int) -> None:
        key = (record.key or b"").decode(errors="replace")
        if key and number:
            key += f"/r{number}"  # a repeat is a draw of its own, or a rejected message would be rejected for ever
        await through_faults(self._faults, record.topic, key, partial(self._handle, (record,)))
        self._next[TopicPartition(record.topic, record.partition)] = record.offset + 1

    async def _until_handled(self, attempt: Callable[[int], Awaitable[None]]) -> None:
        """Call ``attempt`` with 0, 1, 2, .. until it succeeds."""
        warned = False
        for number in itertools.count():
            try:
                await attempt(number)
                return
            except MessageRejectedError:
                pass
            except Exception:  # whatever it is, going on would lose messages
                if not warned:
                    _LOG.exception("%s tries a batch again until it succeeds", self._group)
                warned = True
            await asyncio.sleep(_PAUSE)

    async def _measure(self, consumer: Any) -> None:
        """Set the lag of each topic: ends of its partitions less what was handled, or committed by a predecessor."""
        places: list[TopicPartition] = sorted(consumer.assignment())
        self._next = {place: offset for place, offset in self._next.items() if place in places}
        ends = await consumer.end_offsets(places) if places else {}
        lag = dict.fromkeys(self._topics, 0)
        for place in places:
            if place not in self._next:
                self._next[place] = await consumer.committed(place) or 0
            lag[place.topic] += max(0, ends[place] - self._next[place])
        for topic, behind in lag.items():
            self._lag.labels(topic).set(behind)


async def _stop(broker: KafkaBroker, consumer: Any) -> None:
    """Stop, at once also while the group is being joined: aiokafka would wait seconds for the coordinator's answer."""
    stopping = asyncio.ensure_future(broker.stop())
    joined = consumer is not None and consumer.assignment()
    await asyncio.wait([stopping], timeout=_PATIENCE if joined else 0)
    if consumer is not None:
        client = consumer._client  # noqa: SLF001  # no public way; without connections nothing is waited for
        while not stopping.done():
            await client.close()
            looking = client._md_update_fut  # noqa: SLF001  # a search for the coordinator would wait for it for ever
            if looking is not None and not looking.done():
                looking.set_result(False)
            await asyncio.wait([stopping], timeout=_PATIENCE)
        await client.close()  # on its way out it may have connected again
    await stopping


async def _no_headers(record: Any, parse: Callable[[Any], Awaitable[KafkaMessage]]) -> KafkaMessage:
    """Parse without looking at headers: a stranger's may be no text, and one bad message must not stop the others."""
    for each in record:
        each.headers = ()
    return await parse(record)


async def _raw(message: KafkaMessage) -> KafkaMessage:
    """Decode nothing: what the bytes mean is the handler's business."""
    return message
