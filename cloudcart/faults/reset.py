"""``reset``: the connection is cut, before the service sees the request or in the middle of its answer."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Contract, Exchange, Fault


class Reset(Fault):
    """A cut TCP connection: at once, or after some bytes of the answer's body, when the request had its effect."""

    kind = "reset"
    place = "exchange"
    needs_answer = True
    contract = Contract("errors", "broken connections grow by the probability", shows_within=1.0, clears_within=1.0)

    after_bytes: int | None = Field(
        None, ge=0, description="let the service answer, cut after so many bytes of the body; without it: cut at once"
    )

    async def act(self, exchange: Exchange) -> None:
        """Cut."""
        await exchange.cut(self.after_bytes)
