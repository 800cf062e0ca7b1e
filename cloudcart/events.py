"""The events of the shop: one frozen model each, versioned; the Kafka topic is the event's type.

An event says what has happened, in the past tense, and carries what a consumer needs. Services hand events to their
outbox (``stores.outbox``); consumers read bytes back with :func:`decode`. Not here: how they travel.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, ClassVar, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

Money = Annotated[Decimal, Field(decimal_places=2), PlainSerializer(float, return_type=float, when_used="json")]
"""Exact inside, a JSON number with at most two decimals outside."""


def uuid7() -> UUID:
    """Return a time-ordered UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)  # version
    return UUID(int=(value & ~(0x3 << 62)) | (0x2 << 62))  # variant


class Event(BaseModel):
    """The envelope that every event has. Subclasses set ``topic`` and name the field that is the partition key."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    topic: ClassVar[str]
    key_field: ClassVar[str]

    event_id: UUID = Field(default_factory=uuid7)
    event_type: str = ""
    schema_version: int = 1
    occurred_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    service: str
    trace_id: str = ""

    def model_post_init(self, _context: object) -> None:
        """Fill in the type, which is the topic's name."""
        object.__setattr__(self, "event_type", self.topic)

    @property
    def key(self) -> str:
        """The aggregate's id: events of one aggregate keep their order."""
        return str(getattr(self, self.key_field))


class UserCreated(Event):
    """Somebody registered."""

    topic = "user.created"
    key_field = "user_id"
    user_id: int
    username: str
    email: str


class ProductStockChanged(Event):
    """A product's stock moved; ``reason`` is one of admin, sold, restored, released."""

    topic = "product.stock_changed"
    key_field = "product_id"
    product_id: int
    old_stock: int
    new_stock: int
    reason: str
    order_id: int | None = None


class ProductLowStock(Event):
    """A product's stock fell to the threshold or below; ``severity`` is warning, or critical at zero."""

    topic = "product.low_stock"
    key_field = "product_id"
    product_id: int
    stock: int
    threshold: int
    severity: str


class OrderLine(BaseModel):
    """One line of an order, as events carry it."""

    model_config = ConfigDict(frozen=True)
    product_id: int
    product_name: str
    quantity: int
    price: Money


class OrderCreated(Event):
    """An order was accepted and awaits payment."""

    topic = "order.created"
    key_field = "order_id"
    order_id: int
    user_id: int
    total_amount: Money
    items: tuple[OrderLine, ...]


class OrderPaymentConfirmed(Event):
    """An order was paid."""

    topic = "order.payment_confirmed"
    key_field = "order_id"
    order_id: int
    user_id: int
    payment_method: str
    amount: Money


class OrderStatusChanged(Event):
    """An order moved through its life cycle."""

    topic = "order.status_changed"
    key_field = "order_id"
    order_id: int
    user_id: int
    old_status: str
    new_status: str
    message: str


class ApiRateLimited(Event):
    """A client was refused by the rate limit; ``window`` is in seconds."""

    topic = "api.rate_limited"
    key_field = "client"
    client: str
    route: str
    count: int
    window: float


class ChaosInjected(Event):
    """A fault acted ``count`` times on ``service`` within about a second before ``timestamp``."""

    topic = "chaos.injected"
    key_field = "fault_id"
    fault_id: str
    chaos_type: str
    details: Mapping[str, object]
    count: int
    timestamp: datetime


class ChaosCleared(Event):
    """A fault ended; ``reason`` is one of healed, ttl, reset, disabled."""

    topic = "chaos.cleared"
    key_field = "fault_id"
    fault_id: str
    reason: str
    injected_count: int


EVENTS: Final[Mapping[str, type[Event]]] = MappingProxyType(
    {
        model.topic: model
        for model in (
            UserCreated,
            ProductStockChanged,
            ProductLowStock,
            OrderCreated,
            OrderPaymentConfirmed,
            OrderStatusChanged,
            ApiRateLimited,
            ChaosInjected,
            ChaosCleared,
        )
    }
)
"""Topic to model, for every event there is."""


def encode(event: Event) -> bytes:
    """Return the event as the JSON bytes of a Kafka message."""
    return event.model_dump_json().encode()


def decode(topic: str, payload: bytes) -> Event:
    """Return the event that ``payload`` holds.

    Raises:
        ValueError: no event has this topic, or the bytes do not fit its model.
    """
    model = EVENTS.get(topic)
    if model is None:
        raise ValueError(f"no event is published on topic {topic!r}")
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        raise ValueError(f"{topic}: {error.errors()[0]['msg']} at {error.errors()[0]['loc']}") from None
