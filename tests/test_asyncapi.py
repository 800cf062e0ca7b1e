"""The AsyncAPI document: up to date, complete, and true of what is really published."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from cloudcart.asyncapi import asyncapi_document
from cloudcart.events import EVENTS, OrderCreated, OrderLine, ProductStockChanged, encode

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


def test_the_copy_is_up_to_date():
    assert json.loads(COPY.read_text()) == DOCUMENT, "python -m cloudcart.asyncapi > docs/asyncapi.json"


def test_every_event_has_a_channel_and_every_reference_leads_somewhere():
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == set(EVENTS)
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
    schemas = {"components": DOCUMENT["components"], "$ref": f"#/components/schemas/{type(event).__name__}"}
    jsonschema.Draft202012Validator(schemas).validate(json.loads(encode(event)))
