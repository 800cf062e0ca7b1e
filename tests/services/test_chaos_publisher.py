"""Events of faults on their way to the broker, also when there is none."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiokafka import AIOKafkaConsumer

from cloudcart.events import ChaosCleared, decode
from cloudcart.lab.broker import Broker
from cloudcart.services.chaos_control.publisher import Publisher
from cloudcart.telemetry.metrics import Telemetry


def event(number: int) -> ChaosCleared:
    return ChaosCleared(service="chaos", fault_id=f"f{number}", reason="healed", injected_count=number)


def test_events_reach_their_topic(broker: Broker) -> None:
    async def run() -> list[Any]:
        telemetry = Telemetry("test")
        publisher = Publisher(broker.address, telemetry=telemetry)
        running = asyncio.create_task(publisher.run())
        sent = [event(n) for n in range(3)]
        for one in sent:
            publisher.publish(one)
        async with asyncio.timeout(15):
            while publisher.published < 3:  # noqa: ASYNC110 - the publisher tells nobody
                await asyncio.sleep(0.01)
        assert b'kafka_events_published_total{topic="chaos.cleared"} 3.0' in telemetry.exposition()
        consumer = AIOKafkaConsumer(
            ChaosCleared.topic, bootstrap_servers=broker.address, auto_offset_reset="earliest", group_id=None
        )
        await consumer.start()
        async with asyncio.timeout(15):
            records = [await anext(consumer) for _ in range(3)]
        await consumer.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert {decode(r.topic, r.value) for r in records} == set(sent)
        return [r.key.decode() for r in records]

    assert sorted(asyncio.run(run())) == ["f0", "f1", "f2"]


def test_without_a_broker_events_are_dropped_and_counted() -> None:
    publisher = Publisher("")
    publisher.publish(event(1))
    assert publisher.dropped == 1


def test_a_broker_that_is_away_holds_nobody_up_and_memory_is_bounded() -> None:
    async def run() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            publisher = Publisher(f"127.0.0.1:{closed.getsockname()[1]}", pause=0.01)
            running = asyncio.create_task(publisher.run())
            for n in range(1200):
                publisher.publish(event(n))
            await asyncio.sleep(0.1)
            assert not running.done()
            assert publisher.dropped == 200
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
