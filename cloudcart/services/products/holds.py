"""What an order holds of the stock, as a small state machine without a database.

::

    (none) ──take──> taken ──confirmed──> sold
       │               │ │                 │
       │               │ └──release──┐     │ close (cancelled, returned)
       │ close         │ close       ▼     │
       │               │          released │        released ──take with a later epoch──> taken
       └───────────> closed <────────┴─────┘

``epoch`` counts how often the order service gave up an attempt to confirm the order. An attempt travels with the epoch
at which it began, so that a call that was stuck for minutes can neither take stock nor have it released behind the back
of a later attempt. Used by ``services.products.stock``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Hold(StrEnum):
    """State of what one order holds."""

    TAKEN = "taken"  # out of the stock; whether the order was confirmed is not known here
    SOLD = "sold"  # the order was confirmed
    RELEASED = "released"  # back in the stock, since the order was not confirmed in time
    CLOSED = "closed"  # back in the stock, or never taken: the order was cancelled or returned


class Taking(NamedTuple):
    """What a request to take stock comes to: ``moves`` stock or not; ``refusal`` says why it is refused."""

    moves: bool
    refusal: str = ""


def take(state: Hold, held_epoch: int, epoch: int) -> Taking:
    """Decide about a request to take stock for an order that is known already.

    Args:
        state: of what the order holds.
        held_epoch: epoch of the attempt that made this state.
        epoch: epoch of the attempt that asks now.
    """
    if state is Hold.CLOSED:
        return Taking(moves=False, refusal="the order was cancelled or returned")
    if state is Hold.RELEASED:
        if epoch > held_epoch:
            return Taking(moves=True)
        return Taking(moves=False, refusal="this attempt took too long and was given up; try again")
    if epoch < held_epoch:
        return Taking(moves=False, refusal="a later attempt for this order is under way")
    return Taking(moves=False)


def release(state: Hold, held_epoch: int, epoch: int) -> bool:
    """Say whether stock goes back because the order service gave up every attempt before ``epoch``."""
    return state is Hold.TAKEN and held_epoch < epoch


def close(state: Hold) -> bool:
    """Say whether stock goes back because the order was cancelled or returned."""
    return state in (Hold.TAKEN, Hold.SOLD)
