"""``corrupt``: the answer has its status and headers, but its body cannot be read."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from cloudcart.faults.base import Exchange, Fault
from cloudcart.faults.contract import FAILED_LOOKS, Contract
from cloudcart.units import Share

_STRIDE: Final = 16
_NOT_UTF8: Final = 0xFF  # a byte that no UTF-8 text has


class Corrupt(Fault):
    """A whole HTTP answer with a damaged body: cut short, or of the same length with bytes that are no text."""

    kind = "corrupt"
    place = "exchange"
    needs_answer = True
    contract = Contract(
        "errors",
        "unreadable answers grow by the probability",
        quantity=FAILED_LOOKS,
        at_least=0.25,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products", "how": "truncated", "probability": 0.5},
    )

    how: Literal["malformed", "truncated"] = Field("malformed", description="what becomes of the body")
    keep: Share = Field(0.5, description="truncated: share of the body that is left")

    async def act(self, exchange: Exchange) -> None:
        """Forward, and damage the body. An empty one stays as it is."""
        await exchange.rewrite(self.damage)

    def damage(self, body: bytes) -> bytes:
        """Return what is left of ``body``."""
        if self.how == "truncated":
            return body[: int(len(body) * self.keep)]
        damaged = bytearray(body)
        damaged[::_STRIDE] = bytes([_NOT_UTF8]) * len(damaged[::_STRIDE])
        return bytes(damaged)

    @property
    def label(self) -> str:
        """As ``malformed answers of products``."""
        return f"{self.how} answers on {self.aim}"
