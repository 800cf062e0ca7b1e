"""``clock_skew``: the service's wall clock is wrong."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Fault, Process
from cloudcart.faults.contract import REFUSED_TOKENS, Contract
from cloudcart.units import Shift, format_duration


class ClockSkew(Fault):
    """A wrong wall clock in the issue and check of tokens; durations, which services measure otherwise, stay right."""

    kind = "clock_skew"
    place = "process"
    contract = Contract(
        "errors",
        "tokens that are good are refused with 401, or bad ones pass",
        quantity=REFUSED_TOKENS,
        at_least=0.5,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "orders", "by": "30h"},
    )

    by: Shift = Field(86_400.0, description="ahead by this time; with a minus sign: behind")

    async def act_in(self, process: Process) -> None:
        """Move the clock, and back."""
        process.skew_clock(self.by)
        try:
            process.hit()
            await process.stay()
        finally:
            process.skew_clock(-self.by)

    @property
    def label(self) -> str:
        """As ``clock off by -2h on products``."""
        sign = "-" if self.by < 0 else "+"
        return f"clock {sign}{format_duration(abs(self.by))} on {self.aim}"
