"""``slow_body``: the answer begins in time, but its body drips."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Contract, Exchange, Fault
from cloudcart.units import Size


class SlowBody(Fault):
    """An answer whose body comes at a given number of bytes per second: what time-outs of single reads never notice."""

    kind = "slow_body"
    place = "exchange"
    needs_answer = True
    contract = Contract("latency", "latency grows by body size / rate", shows_within=1.0, clears_within=1.0)

    rate: Size = Field(1000.0, ge=1, description="bytes per second, as 500 or 64KiB")

    async def act(self, exchange: Exchange) -> None:
        """Forward, and let the body drip."""
        await exchange.trickle(self.rate)

    @property
    def label(self) -> str:
        """As ``1000 B/s on products``."""
        return f"{self.rate:g} B/s on {self.target}"
