"""The life cycle of an order: a table and three pure functions; no database, no HTTP.

::

    awaiting_payment -> confirmed | cancelled
    confirmed        -> shipped   | cancelled
    shipped          -> delivered | returned
    delivered        -> returned
    cancelled, returned: final
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from cloudcart.exceptions import RefusedError


class Status(StrEnum):
    """Where an order is in its life."""

    AWAITING_PAYMENT = "awaiting_payment"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURNED = "returned"


MOVES: Final[Mapping[Status, frozenset[Status]]] = {
    Status.AWAITING_PAYMENT: frozenset({Status.CONFIRMED, Status.CANCELLED}),
    Status.CONFIRMED: frozenset({Status.SHIPPED, Status.CANCELLED}),
    Status.SHIPPED: frozenset({Status.DELIVERED, Status.RETURNED}),
    Status.DELIVERED: frozenset({Status.RETURNED}),
    Status.CANCELLED: frozenset(),
    Status.RETURNED: frozenset(),
}
"""From each status, where an order may go."""

OPEN: Final = frozenset({Status.AWAITING_PAYMENT, Status.CONFIRMED, Status.SHIPPED})
"""Orders that still need their products."""

_MESSAGES: Final[Mapping[Status, str]] = {
    Status.AWAITING_PAYMENT: "We wait for your payment.",
    Status.CONFIRMED: "Your order is confirmed.",
    Status.SHIPPED: "Your order is on its way.",
    Status.DELIVERED: "Your order has been delivered.",
    Status.CANCELLED: "Your order has been cancelled.",
    Status.RETURNED: "Your return has been received.",
}


def check_move(old: Status, new: Status) -> None:
    """Do nothing if an order may go from ``old`` to ``new``.

    Raises:
        RefusedError: 409, with what would be possible.
    """
    if new not in MOVES[old]:
        possible = ", ".join(sorted(MOVES[old])) or "none: this status is final"
        raise RefusedError(409, f"an order cannot go from {old} to {new}; possible: {possible}")


def may_move(new: Status, *, is_admin: bool) -> bool:
    """Say whether somebody who may see an order may ask for this move: owners may only cancel."""
    return is_admin or new is Status.CANCELLED


def message(new: Status) -> str:
    """Return what the buyer is told when the order has become ``new``."""
    return _MESSAGES[new]
