"""Messages of a FastStream broker under faults, on a real broker of Kafka's protocol."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaTimeoutError
from faststream.kafka import KafkaBroker

from cloudcart import Hooks
from cloudcart.lab.broker import Broker


def exchange(hooks: Hooks, broker: Broker, publish: Callable[[KafkaBroker, str], Awaitable[int]]) -> list[str]:
    """Publish with a hooked broker, return what a hooked subscriber consumed."""
    topic = f"hooks.{uuid4().hex[:8]}"
    consumed: list[str] = []

    async def run() -> None:
        logger = logging.getLogger(__name__)
        plain = KafkaBroker(broker.address, middlewares=[hooks.faststream_middleware()], logger=logger)

        @plain.subscriber(topic, auto_offset_reset="earliest")
        async def consume(body: bytes) -> None:
            consumed.append(body.decode("utf-8", "replace"))

        async with plain:
            expected = await publish(plain, topic)
            await plain.start()
            deadline = time.monotonic() + 20
            while len(consumed) < expected:
                assert time.monotonic() < deadline, f"only {consumed} arrived"
                await asyncio.sleep(0.02)

    asyncio.run(run())
    return consumed


def publishing(count: int, expected: int) -> Callable[[KafkaBroker, str], Awaitable[int]]:
    async def publish(broker: KafkaBroker, topic: str) -> int:
        for number in range(count):
            await broker.publish(f"message {number}".encode(), topic, key=b"same")
        return expected

    return publish


def test_what_is_published_twice_arrives_twice(broker: Broker) -> None:
    with Hooks("mine", faults=[{"kind": "duplicate", "first": 1}], lab=True) as hooks:
        found = exchange(hooks, broker, publishing(2, 3))
        assert found == ["message 0", "message 0", "message 1"]
        assert list(hooks.active.counts().values()) == [(1, 1)]


def test_poison_comes_before_the_message(broker: Broker) -> None:
    with Hooks("mine", faults=[{"kind": "poison_message", "first": 1}], lab=True) as hooks:
        found = exchange(hooks, broker, publishing(2, 3))
    assert "poison" in found[0]
    assert found[1:] == ["message 0", "message 1"]


def test_what_is_not_confirmed_raises_where_it_was_published(broker: Broker) -> None:
    async def publish(plain: KafkaBroker, topic: str) -> int:
        with pytest.raises(KafkaTimeoutError, match="a fault kept the broker from confirming"):
            await plain.publish(b"lost", topic)
        return await publishing(1, 1)(plain, topic)

    with Hooks("mine", faults=[{"kind": "publish_fail", "first": 1}], lab=True) as hooks:
        assert exchange(hooks, broker, publish) == ["message 0"]


def test_a_slow_consumer_is_felt_and_counted(broker: Broker) -> None:
    with Hooks("mine", faults=[{"kind": "slow_consumer", "delay": "60ms"}], lab=True) as hooks:
        begun = time.monotonic()
        assert len(exchange(hooks, broker, publishing(3, 3))) == 3
        assert time.monotonic() - begun >= 0.18
        assert list(hooks.active.counts().values()) == [(3, 3)]


def test_a_heal_lets_go_of_a_message(broker: Broker, heal_when_held: Any) -> None:
    with Hooks("mine", faults=[{"kind": "publish_delay", "delay": "60s"}], lab=True) as hooks:
        heal_when_held(hooks)
        begun = time.monotonic()
        assert exchange(hooks, broker, publishing(1, 1)) == ["message 0"]
        assert time.monotonic() - begun < 20


def test_without_a_lab_messages_are_left_alone(broker: Broker) -> None:
    with Hooks("mine", faults=[{"kind": "publish_fail"}, {"kind": "duplicate"}]) as hooks:
        assert exchange(hooks, broker, publishing(2, 2)) == ["message 0", "message 1"]
