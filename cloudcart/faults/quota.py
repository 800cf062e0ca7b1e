"""``quota``: after so many requests the service refuses more, as an API with a limit does."""

from __future__ import annotations

import math

from pydantic import Field

from cloudcart.faults.base import Exchange, Fault
from cloudcart.faults.contract import FAILED_LOOKS, Contract
from cloudcart.units import Duration


class Quota(Fault):
    """429 with Retry-After once ``requests`` matching requests have passed, counted anew every ``per``."""

    kind = "quota"
    place = "exchange"
    contract = Contract(
        "errors",
        "429 for what exceeds the quota",
        quantity=FAILED_LOOKS,
        at_least=0.25,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products", "requests": 5, "per": "1s"},
    )

    requests: int = Field(100, ge=0, description="matching requests (of each replica) that pass")
    per: Duration | None = Field(None, gt=0, description="the quota is full again after this time; never if not given")
    retry_after: Duration = Field(1.0, gt=0, description="sent as Retry-After, in whole seconds")

    @property
    def passes(self) -> int:
        """The quota, after what is skipped."""
        return self.skip + self.requests

    @property
    def renews_after(self) -> float | None:
        """Seconds until the quota is full again."""
        return self.per

    async def act(self, exchange: Exchange) -> None:
        """Answer 429 at once."""
        headers = {"retry-after": str(math.ceil(self.retry_after))}
        await exchange.answer(429, {"error": "the quota is used up; wait before the next request"}, headers)

    @property
    def label(self) -> str:
        """As ``quota of 100 on products``."""
        return f"quota of {self.requests} on {self.aim}"
