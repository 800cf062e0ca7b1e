"""What a tap on the topics knows: everything since it was made, and whether the broker has dropped some of it."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from cloudcart.events import UserCreated, encode
from cloudcart.lab.broker import Broker
from cloudcart.lab.event_tap import EventTap

DROPPED_AFTER = 5 * 2**20  # bytes of a partition, for the embedded broker
LARGE = b"x" * 500_000


@pytest.fixture
def publish(broker: Broker):
    """Return a function that publishes to the topic ``user.created``, in one partition."""
    producer = Producer({"bootstrap.servers": broker.address, "log_level": 0})

    def send(*values: bytes) -> None:
        for value in values:
            producer.produce(UserCreated.topic, value, key=b"1", partition=0)
        assert producer.flush(20) == 0

    return send


def event(number: int) -> UserCreated:
    return UserCreated(service="users", user_id=number, username=f"u{number}", email=f"u{number}@example.com")


def test_it_sees_what_comes_after_it(broker, publish):
    publish(encode(event(1)))
    with EventTap(broker.address) as tap:
        publish(encode(event(2)), b"no event")
        assert [each.user_id for each in tap.events(UserCreated.topic)] == [2]
        publish(encode(event(3)))
        assert [each.user_id for each in tap.wait_for(UserCreated.topic, 2)] == [2, 3]
        assert not tap.incomplete


def test_it_notices_what_the_broker_has_dropped(broker, publish):
    with EventTap(broker.address) as tap:
        publish(encode(event(4)), *[LARGE] * (DROPPED_AFTER // len(LARGE) + 2), encode(event(5)))
        assert [each.user_id for each in tap.events(UserCreated.topic)] == [5]
        assert tap.incomplete
