"""``timeout``: the service does not answer; after the given time the caller gets a 504."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Exchange, Fault
from cloudcart.faults.contract import FAILED_LOOKS, Contract
from cloudcart.units import Duration, format_duration


class Timeout(Fault):
    """Silence, then 504. A caller with a shorter time-out of its own gives up first, which is the point."""

    kind = "timeout"
    place = "exchange"
    contract = Contract(
        "errors",
        "error ratio grows by the probability",
        quantity=FAILED_LOOKS,
        at_least=0.25,
        shows_within=2.0,
        clears_within=1.0,
        example={"target": "products", "after": "100ms", "probability": 0.5},
    )

    after: Duration = Field(30.0, gt=0, le=300, description="how long to stay silent before the 504")

    async def act(self, exchange: Exchange) -> None:
        """Wait, then answer 504."""
        await exchange.delay(self.after)
        await exchange.answer(504, {"error": "injected time-out"}, {})

    @property
    def label(self) -> str:
        """As ``silent for 2s on products``."""
        return f"silent for {format_duration(self.after)} on {self.aim}"
