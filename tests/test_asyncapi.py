"""The AsyncAPI document: up to date, complete, and true of what is really published."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from cloudcart.asyncapi import asyncapi_document
from cloudcart.events import EVENTS, OrderCreated, OrderLine, ProductStockChanged, encode
from cloudcart.services.notifications.worker import Worker
from cloudcart.stores.consumer import ConsumerMetrics
from cloudcart.telemetry.metrics import Telemetry

DOCUMENT = asyncapi_document()
COPY = Path(__file__).parent.parent / "docs" / "asyncapi.json"


def follow(reference):
    place = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def references(part):
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from references(each)


def check(document, schema):
    """Validate a document by one of the schemas."""
    schemas = {"components": DOCUMENT["components"], "$ref": f"#/components/schemas/{schema}"}
    jsonschema.Draft202012Validator(schemas).validate(document)


def test_the_copy_is_up_to_date():
    assert json.loads(COPY.read_text()) == DOCUMENT, "python -m cloudcart.asyncapi > docs/asyncapi.json"


def test_every_event_has_a_channel_and_every_reference_leads_somewhere():
    dead_letters = {f"{topic}.dlq" for topic in EVENTS}
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == set(EVENTS) | dead_letters
    assert all(follow(reference) for reference in references(DOCUMENT))


@pytest.mark.parametrize("topic", EVENTS)
def test_the_envelope_is_required(topic):
    schema = DOCUMENT["components"]["schemas"][EVENTS[topic].__name__]
    envelope = {"event_id", "event_type", "schema_version", "occurred_at", "service", "trace_id"}
    assert envelope <= set(schema["required"])
    assert schema["properties"]["event_type"]["const"] == topic


@pytest.mark.parametrize(
    "event",
    [
        OrderCreated(
            service="orders",
            order_id=1,
            user_id=2,
            total_amount=Decimal("0.30"),
            items=(OrderLine(product_id=1, product_name="x", quantity=3, price=Decimal("0.10")),),
        ),
        ProductStockChanged(service="products", product_id=1, old_stock=2, new_stock=1, reason="sold", order_id=7),
        EVENTS["chaos.injected"](
            service="gateway",
            fault_id="f",
            chaos_type="latency",
            details={"target": "orders"},
            count=1,
            timestamp=datetime.now(UTC),
        ),
    ],
)
def test_what_is_published_fits_its_schema(event):
    check(json.loads(encode(event)), type(event).__name__)


class Asides:
    """A publisher that keeps what it is given."""

    def __init__(self):
        self.messages = []

    async def publish(self, messages):
        self.messages += messages
        return [True] * len(messages)


@pytest.mark.parametrize("topic", EVENTS)
def test_what_the_worker_sets_aside_has_the_headers_that_the_document_names(topic):
    asides = Asides()
    unreadable = SimpleNamespace(topic=topic, partition=3, offset=41, key=b"7", value=b"\xff no J\xd6SON")
    telemetry = Telemetry("notifications")
    asyncio.run(Worker(None, asides, None, telemetry, ConsumerMetrics(telemetry)).handle([unreadable]))
    [letter] = asides.messages
    channel = DOCUMENT["channels"][letter.topic]
    message = follow(channel["messages"]["DeadLetter"]["$ref"])
    assert channel["address"] == f"{topic}.dlq"
    assert (letter.key, letter.value) == (unreadable.key, unreadable.value)
    assert letter.headers["content-type"] == message["contentType"]
    check({**letter.headers, "correlation_id": "of the client"}, "DeadLetterHeaders")
    assert (letter.headers["partition"], letter.headers["offset"]) == ("3", "41")
