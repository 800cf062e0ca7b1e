"""``error``: the service's answer is replaced by an HTTP error; the service never sees the request."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Exchange, Fault
from cloudcart.faults.contract import FAILED_LOOKS, Contract
from cloudcart.units import Duration


class Error(Fault):
    """An HTTP error status in the service's stead, as a problem document, with Retry-After if asked for."""

    kind = "error"
    place = "exchange"
    contract = Contract(
        "errors",
        "error ratio grows by the probability",
        quantity=FAILED_LOOKS,
        at_least=0.25,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products", "status": 503, "probability": 0.5},
    )

    status: int = Field(503, ge=400, le=599, description="HTTP status of the answer")
    body: str | None = Field(None, max_length=4096, description="the sentence in the answer's 'error' field")
    retry_after: Duration | None = Field(None, description="sent as Retry-After, in whole seconds")

    async def act(self, exchange: Exchange) -> None:
        """Answer at once."""
        headers = {} if self.retry_after is None else {"retry-after": str(max(1, round(self.retry_after)))}
        await exchange.answer(self.status, {"error": self.body or "injected fault"}, headers)

    @property
    def label(self) -> str:
        """As ``503 on products``."""
        return f"{self.status} on {self.aim}"
