"""Events of the control plane on their way to Kafka: best effort, never in anybody's way.

A bounded queue and one task in the background. Where there is no broker, the oldest events are dropped and counted;
faults work all the same. (Business events take the outbox instead, which loses none.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING, Final

from cloudcart.events import Event, encode
from cloudcart.services.chaos_control.signal import Signal
from cloudcart.telemetry.metrics import Telemetry

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

_QUEUED: Final = 1000
_PAUSE: Final = 1.0  # seconds until the next attempt to reach the broker
_log = logging.getLogger(__name__)


class Publisher:
    """Publishes events in the background.

    Args:
        bootstrap: address of the broker; empty: there is none, and events are dropped.
        pause: seconds between attempts while the broker does not answer.
        telemetry: where published events are counted, if given.
    """

    def __init__(self, bootstrap: str, *, pause: float = _PAUSE, telemetry: Telemetry | None = None) -> None:
        self.dropped = 0
        self.published = 0
        self._bootstrap = bootstrap
        self._pause = pause
        self._telemetry = telemetry
        self._queue: deque[Event] = deque()
        self._arrived = Signal()

    def publish(self, event: Event) -> None:
        """Queue an event; neither waits nor raises."""
        if not self._bootstrap:
            self.dropped += 1
            return
        if len(self._queue) >= _QUEUED:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(event)
        self._arrived.send()

    async def run(self) -> None:
        """Publish until cancelled. The client library is imported and the broker connected when there is an event."""
        while True:
            if not self._queue:
                await self._arrived.wait(None)
            try:
                await self._drain()
            except Exception as error:  # the broker may fail in any way: it is the patient
                _log.debug("events of faults wait for the broker: %r", error)
                await asyncio.sleep(self._pause)

    async def _drain(self) -> None:
        aiokafka = await asyncio.to_thread(import_module, "aiokafka")  # a third of a second, where nobody did it before
        producer: AIOKafkaProducer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, request_timeout_ms=5000, retry_backoff_ms=200
        )
        try:
            await producer.start()
            while True:
                while self._queue:
                    event = self._queue[0]
                    await producer.send_and_wait(event.topic, encode(event), event.key.encode())
                    self._forget(event)
                await self._arrived.wait(None)
        finally:
            with contextlib.suppress(Exception):
                await producer.stop()

    def _forget(self, event: Event) -> None:
        self.published += 1
        if self._telemetry is not None:
            self._telemetry.kafka_events_published_total.labels(event.topic).inc()
        if self._queue and self._queue[0] is event:  # else the queue has overflown meanwhile
            self._queue.popleft()
