"""What a user is told about an event: one sentence per event type, in one table.

Pure functions. An event that is nobody's business (stock, faults, rate limits) is told to no user; it is only logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cloudcart.events import Event, OrderCreated, OrderPaymentConfirmed, OrderStatusChanged, UserCreated

_SENTENCES: Final[Mapping[str, Callable[[Any], str]]] = {
    UserCreated.topic: lambda event: f"Welcome to CloudCart, {event.username}.",
    OrderCreated.topic: lambda event: f"We have your order {event.order_id} over {event.total_amount:.2f}.",
    OrderPaymentConfirmed.topic: lambda event: f"You paid {event.amount:.2f} for order {event.order_id}.",
    OrderStatusChanged.topic: lambda event: f"Order {event.order_id}: {event.message}",
}
_ENVELOPE: Final = frozenset({"event_id", "event_type", "schema_version", "occurred_at", "service", "trace_id"})


def sentence_for(event: Event) -> str | None:
    """Return what the user in ``event.user_id`` is told; None if this kind of event is told to nobody."""
    sentence = _SENTENCES.get(event.topic)
    return sentence(event) if sentence else None


def details_of(event: Event) -> dict[str, Any]:
    """Return the event's own fields, without the envelope, as JSON values."""
    return event.model_dump(mode="json", exclude=set(_ENVELOPE))
