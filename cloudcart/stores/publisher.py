"""Publishes messages to Kafka through FastStream, each confirmed by the broker.

Used by the outbox's relay, by the worker for what it cannot read, and by whoever has events that belong to no
transaction (rate limits, faults). It connects when first needed and again after each failure; nothing is queued here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata
from faststream.kafka import KafkaBroker

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.messaging import may_act_on_publishing, publish_through_faults
from cloudcart.events import Event, encode
from cloudcart.exceptions import StoreError
from cloudcart.telemetry.metrics import Telemetry

_CONFIRM: Final = 20.0  # seconds for the broker to confirm; longer than a pause that a broker is expected to survive

_KNOCK: Final = 1.0  # seconds for an address to accept a connection, and until that is asked again


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to a topic. Messages with the same topic and key keep their order."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def message_of(event: Event) -> Message:
    """Return the message that carries ``event``."""
    return Message(event.topic, event.key.encode(), encode(event))


class Publisher:
    """Publishes to one cluster. Belongs to one event loop.

    Args:
        bootstrap: address of the cluster, ``host:port``.
        client: how the cluster knows this process.
        faults: what is active in this process; acts on each message before it is sent.
        telemetry: where confirmed messages are counted, if given.
        patience: seconds for the broker to confirm.
    """

    def __init__(
        self,
        bootstrap: str,
        client: str,
        *,
        faults: ActiveFaults | None = None,
        telemetry: Telemetry | None = None,
        patience: float = _CONFIRM,
    ) -> None:
        self._bootstrap = bootstrap
        self._client = client
        self._broker: KafkaBroker | None = None
        self._faults = faults
        self._patience = patience
        self._published = telemetry.kafka_events_published_total if telemetry else None
        self._connecting = asyncio.Lock()
        self._leaving: set[asyncio.Future[None]] = set()

    async def publish(self, messages: Sequence[Message]) -> list[bool]:
        """Send ``messages`` together and return for each whether the broker confirmed it.

        Raises:
            StoreError: the cluster cannot be reached, or does not answer; some may have been sent.
        """
        outcomes = await self._publish(messages)
        if self._published is not None:
            for message, confirmed in zip(messages, outcomes, strict=True):
                self._published.labels(message.topic).inc(confirmed)
        return outcomes

    async def _publish(self, messages: Sequence[Message]) -> list[bool]:
        faults = self._faults
        if faults is None or not any(may_act_on_publishing(faults, message.topic) for message in messages):
            return await self._send_all(messages)
        each = (self._send_under(faults, message) for message in messages)
        outcomes = await asyncio.gather(*each, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome is True for outcome in outcomes]

    async def _send_under(self, faults: ActiveFaults, message: Message) -> bool:
        async def send(other: bytes | None) -> bool:
            [confirmed] = await self._send_all([message if other is None else replace(message, value=other)])
            return confirmed

        return await publish_through_faults(faults, message.topic, send)

    async def _send_all(self, messages: Sequence[Message]) -> list[bool]:
        broker = await self._connected()
        try:
            async with asyncio.timeout(self._patience):
                receipts = [await _send(broker, message) for message in messages]
                return await self._confirmed(receipts)
        except (KafkaError, TimeoutError, OSError, StoreError) as error:
            self._abandon()
            raise StoreError("Kafka does not confirm") from error

    async def _confirmed(self, receipts: Sequence[asyncio.Future[RecordMetadata]]) -> list[bool]:
        """Wait for all receipts; raises StoreError as soon as nobody listens at the broker's address any more.

        A paused broker still listens and is waited for. One that died is not: the driver would find its successor only
        when it looks at its metadata again.
        """
        try:
            while receipts and (await asyncio.wait(receipts, timeout=_KNOCK))[1]:
                await knock(self._bootstrap)
            return [not receipt.cancelled() and receipt.exception() is None for receipt in receipts]
        finally:
            for receipt in receipts:
                receipt.cancel()

    def _abandon(self) -> None:
        """Let the next call start from a fresh connection; the driver keeps trying on this one for a while."""
        if self._broker is not None:
            leaving = asyncio.ensure_future(self._broker.stop())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            self._broker = None

    async def close(self) -> None:
        """Let go of the connection."""
        self._abandon()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def _connected(self) -> KafkaBroker:
        async with self._connecting:
            if self._broker is None:
                await knock(self._bootstrap)
                broker = quiet_broker(self._bootstrap, self._client, self._patience)
                try:
                    await broker.connect()
                except (KafkaError, OSError) as error:
                    await broker.stop()
                    raise StoreError("Kafka is not there") from error
                self._broker = broker
            return self._broker


async def _send(broker: KafkaBroker, message: Message) -> asyncio.Future[RecordMetadata]:
    """Hand a message to the driver, which sends what it has together, and return the broker's receipt to come."""
    headers = {"content-type": "application/json", **message.headers}
    return await broker.publish(message.value, message.topic, key=message.key, headers=headers, no_confirm=True)


async def knock(bootstrap: str) -> None:
    """Do nothing if one of the cluster's addresses accepts a connection.

    Asked first, because a FastStream broker whose start fails leaves its producer open, for ever.

    Raises:
        StoreError: none does.
    """
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        with suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(_KNOCK):
                _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            return
    raise StoreError("Kafka is not there")


def quiet_broker(bootstrap: str, client: str, patience: float = _CONFIRM) -> KafkaBroker:
    """Return a FastStream broker that leaves logging to us: an outage is one line of ours, not hundreds of its own."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return KafkaBroker(
        bootstrap,
        client_id=client,
        # Confirmed is what every replica in step has. The driver's idempotence is not asked for: with it, a producer
        # whose broker died never stops, and a repeat after a lost receipt does no harm here: the inbox knows it, and no
        # later message of its key was sent before that receipt.
        acks="all",
        logger=logging.getLogger(__name__),
        log_level=logging.DEBUG,  # of its reports on each message; errors keep their own level
        apply_types=False,
        graceful_timeout=1.0,
        request_timeout_ms=int(patience * 1000),
        metadata_max_age_ms=30_000,
    )
