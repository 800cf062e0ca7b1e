"""Refused requests become events, few for a flood, and none is waited for."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from cloudcart.events import ApiRateLimited, decode
from cloudcart.lab.broker import Broker
from cloudcart.services.gateway.refusals import RefusalEvents
from cloudcart.telemetry.metrics import Telemetry


def test_refusals_of_a_client_on_a_route_become_one_event() -> None:
    refusals = RefusalEvents("", 60.0)
    for client, route in [("user:1", "/a"), ("user:1", "/a"), ("user:1", "/b"), ("user:2", "/a")]:
        refusals.refused(client, route)
    events = [(event.client, event.route, event.count, event.window) for event in refusals.take()]
    assert events == [("user:1", "/a", 2, 60.0), ("user:1", "/b", 1, 60.0), ("user:2", "/a", 1, 60.0)]
    assert refusals.take() == []


def test_a_flood_of_clients_is_bounded() -> None:
    refusals = RefusalEvents("", 60.0)
    for number in range(1000):
        refusals.refused(f"address:{number}", "/a")
        refusals.refused("address:0", "/a")
    events = refusals.take()
    assert len(events) == 200
    assert events[0].count == 1001


def test_they_are_published(broker: Broker) -> None:
    async def run() -> None:
        telemetry = Telemetry("test")
        refusals = RefusalEvents(broker.address, 60.0, telemetry=telemetry)
        refusals.refused("user:1", "/api/orders")
        publishing = asyncio.create_task(refusals.run())
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest")
        try:
            async with asyncio.timeout(20):
                await consumer.start()
                consumer.assign([TopicPartition(ApiRateLimited.topic, partition) for partition in range(4)])
                message = await consumer.getone()
            event = decode(message.topic, message.value)
            assert isinstance(event, ApiRateLimited)
            assert (event.client, event.route, event.count) == ("user:1", "/api/orders", 1)
            async with asyncio.timeout(20):
                while b'published_total{topic="api.rate_limited"} 1.0' not in telemetry.exposition():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        finally:
            await consumer.stop()
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)

    asyncio.run(run())


def test_without_a_broker_they_are_dropped() -> None:
    async def run() -> None:
        for bootstrap in ("", "127.0.0.1:1"):
            refusals = RefusalEvents(bootstrap, 60.0)
            refusals.refused("user:1", "/a")
            publishing = asyncio.create_task(refusals.run())
            async with asyncio.timeout(20):
                while refusals._counts:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            assert refusals.take() == []

    asyncio.run(run())
