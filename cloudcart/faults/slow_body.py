"""``slow_body``: the answer begins in time, but its body drips."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Exchange, Fault
from cloudcart.faults.contract import TIME_OF_LOOKS, Contract
from cloudcart.units import Size


class SlowBody(Fault):
    """An answer whose body comes at a given number of bytes per second: what time-outs of single reads never notice."""

    kind = "slow_body"
    place = "exchange"
    needs_answer = True
    contract = Contract(
        "latency",
        "latency grows by body size / rate",
        quantity=TIME_OF_LOOKS,
        at_least=0.2,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products", "rate": "1kB"},
    )

    rate: Size = Field(1000.0, ge=1, description="bytes per second, as 500 or 64KiB")

    async def act(self, exchange: Exchange) -> None:
        """Forward, and let the body drip."""
        await exchange.trickle(self.rate)

    @property
    def label(self) -> str:
        """As ``1000 B/s on products``."""
        return f"{self.rate:g} B/s on {self.aim}"
