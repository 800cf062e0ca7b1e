"""``redis_flush``: Redis loses everything it keeps, again and again, as after restarts."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import CHECKED_GUESSES, Contract
from cloudcart.faults.places import Administrator
from cloudcart.units import Duration, format_duration


class RedisFlush(Fault):
    """The one Redis of the shop is emptied; each round is drawn for by itself. The target is ``redis``."""

    kind = "redis_flush"
    place = "store"
    store = "redis"
    standing = True
    carried_out_by = "chaos"
    on_whole_store = True
    needs = "the address of Redis"
    contract = Contract(
        "traffic",
        "rate limits and counts of failed log-ins begin anew, so that refused clients are let in",
        quantity=CHECKED_GUESSES,
        at_least=0.5,
        shows_within=1.0,
        clears_within=5.0,
        example={"target": "redis", "every": "50ms"},
    )

    every: Duration = Field(1.0, gt=0, description="time from one round to the next")  # type: ignore[assignment]

    async def act(self, administrator: Administrator, /) -> None:
        """Delete everything, once."""
        await administrator.flush_redis()

    @property
    def period(self) -> float | None:
        """The time between two rounds."""
        return self.every

    @property
    def label(self) -> str:
        """As ``redis emptied every 1s``."""
        return f"redis emptied every {format_duration(self.every)}"
