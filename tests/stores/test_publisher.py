"""The publisher and a broker that dies while it is to confirm."""

from __future__ import annotations

import asyncio
import time

import pytest

from cloudcart.exceptions import StoreError
from cloudcart.lab.broker import Broker
from cloudcart.stores.publisher import Message, Publisher


def test_a_message_is_confirmed_by_every_replica_in_step(short_directory):
    async def acks(broker: Broker) -> int:
        publisher = Publisher(broker.address, "test")
        assert await publisher.publish([Message("topic", b"key", b"1")]) == [True]
        driver = publisher._broker._producer._producer.producer  # what it asks for cannot be seen from outside
        await publisher.close()
        return driver._sender._acks

    with Broker(short_directory / "confirming") as broker:
        assert asyncio.run(acks(broker)) == -1  # the protocol's number for "all"


def test_a_dead_broker_is_given_up_long_before_the_time_it_has_to_confirm(short_directory):
    async def publish(broker: Broker) -> float:
        publisher = Publisher(broker.address, "test", patience=6.0)
        assert await publisher.publish([Message("topic", b"key", b"1")]) == [True]
        broker.kill()
        began = time.monotonic()
        with pytest.raises(StoreError, match="Kafka does not confirm"):
            await publisher.publish([Message("topic", b"key", b"2")])
        took = time.monotonic() - began
        await publisher.close()
        return took

    with Broker(short_directory / "dying") as broker:
        assert asyncio.run(publish(broker)) < 5
