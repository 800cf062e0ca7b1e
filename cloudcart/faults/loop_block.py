"""``loop_block``: the event loop stands still again and again, as when somebody computes or sleeps in a coroutine."""

from __future__ import annotations

import asyncio
import time

from pydantic import Field

from cloudcart.faults.base import Fault, Process
from cloudcart.faults.contract import STALL, Contract
from cloudcart.units import Duration, format_duration


class LoopBlock(Fault):
    """A blocked event loop: for that time the process answers nobody, not even health checks."""

    kind = "loop_block"
    place = "process"
    contract = Contract(
        "saturation",
        "event-loop lag and latency grow to the length of a block",
        quantity=STALL,
        at_least=0.1,
        shows_within=2.0,
        clears_within=2.0,
        example={"target": "products", "block": "250ms", "every": "400ms"},
    )

    block: Duration = Field(0.2, gt=0, le=30, description="how long the event loop stands still")
    every: Duration = Field(1.0, gt=0, description="from the begin of one block to the next")  # type: ignore[assignment]

    async def act_in(self, process: Process) -> None:
        """Block, let others run, block again; never longer than the fault may act."""
        while True:
            process.hit()
            time.sleep(min(self.block, process.seconds_left()))  # noqa: ASYNC251 - that is the fault
            await asyncio.sleep(max(0.0, self.every - self.block))

    @property
    def label(self) -> str:
        """As ``blocked for 200ms on products``."""
        return f"blocked for {format_duration(self.block)} on {self.aim}"
