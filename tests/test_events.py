"""Events survive the wire; ids are time-ordered; the key is the aggregate's id."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.events import EVENTS, OrderCreated, OrderLine, UserCreated, decode, encode, uuid7

money = st.decimals(min_value=0, max_value=Decimal("99999999.99"), places=2, allow_nan=False)


@given(total=money, price=money, quantity=st.integers(1, 1000))
def test_an_order_survives_the_wire_to_the_cent(total, price, quantity):
    line = OrderLine(product_id=1, product_name="Tea", quantity=quantity, price=price)
    event = OrderCreated(service="orders", order_id=7, user_id=3, total_amount=total, items=(line,))
    assert decode("order.created", encode(event)) == event


def test_the_envelope_is_at_top_level():
    document = json.loads(encode(UserCreated(service="users", user_id=1, username="ada", email="ada@example.org")))
    assert document["event_type"] == "user.created"
    assert {"event_id", "schema_version", "occurred_at", "service", "trace_id", "user_id"} <= document.keys()


def test_the_key_is_the_aggregates_id():
    assert UserCreated(service="users", user_id=12, username="a", email="a@example.org").key == "12"


@pytest.mark.parametrize("payload", [b"", b"{}", b"null", b"\xff\xfe", b'{"user_id": "x"}'])
def test_what_is_no_event_is_refused(payload):
    with pytest.raises(ValueError, match=r"user\.created"):
        decode("user.created", payload)


def test_an_unknown_topic_is_refused():
    with pytest.raises(ValueError, match="no event is published"):
        decode("user.vanished", b"{}")


def test_every_event_says_its_key():
    for topic, model in EVENTS.items():
        assert model.topic == topic
        assert model.key_field in model.model_fields


def test_ids_are_version_7_and_in_time_order():
    ids = [uuid7() for _ in range(50)]
    assert all(value.version == 7 and value.variant == "specified in RFC 4122" for value in ids)
    assert [value.int >> 80 for value in ids] == sorted(value.int >> 80 for value in ids)
