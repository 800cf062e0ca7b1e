"""``reset``: the connection is cut, before the service sees the request or in the middle of its answer."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Exchange, Fault
from cloudcart.faults.contract import FAILED_LOOKS, Contract


class Reset(Fault):
    """A cut TCP connection: at once, or after some bytes of the answer's body, when the request had its effect."""

    kind = "reset"
    place = "exchange"
    needs_answer = True
    contract = Contract(
        "errors",
        "broken connections grow by the probability",
        quantity=FAILED_LOOKS,
        at_least=0.25,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products", "after_bytes": 20, "probability": 0.5},
    )

    after_bytes: int | None = Field(
        None, ge=0, description="let the service answer, cut after so many bytes of the body; without it: cut at once"
    )

    async def act(self, exchange: Exchange) -> None:
        """Cut."""
        await exchange.cut(self.after_bytes)
