"""What an event means to a user, in a sentence; events that concern nobody in particular give none."""

from __future__ import annotations

from typing import NamedTuple

from cloudcart.events import Event, OrderCreated, OrderPaymentConfirmed, OrderStatusChanged, UserCreated


class Notice(NamedTuple):
    """A notification before it is stored."""

    user_id: int
    kind: str
    message: str
    order_id: int | None = None


def notice_of(event: Event) -> Notice | None:
    """Return what ``event`` tells a user, if it concerns one."""
    match event:
        case UserCreated():
            return Notice(event.user_id, event.topic, f"Welcome, {event.username}!")
        case OrderCreated():
            message = f"Order {event.order_id} over {event.total_amount:.2f} awaits your payment."
        case OrderPaymentConfirmed():
            message = f"We received {event.amount:.2f} for order {event.order_id}."
        case OrderStatusChanged():
            message = f"Order {event.order_id} is now {event.new_status.replace('_', ' ')}."
        case _:
            return None
    return Notice(event.user_id, event.topic, message, event.order_id)
