"""``kill``: the process dies at once and is started again by its supervisor."""

from __future__ import annotations

import asyncio

from pydantic import Field

from cloudcart.faults.base import Fault, Process
from cloudcart.faults.contract import FAILED_LOOKS, Contract
from cloudcart.faults.pause import RENEWED_EVERY
from cloudcart.units import Duration


class Kill(Fault):
    """SIGKILL, once; a new process is started at once, or after ``down``."""

    kind = "kill"
    place = "process"
    carried_out_by = "chaos"
    needs = "services that the lab itself has started, as embedded or in containers"
    contract = Contract(
        "errors",
        "calls fail until the service has been started again",
        quantity=FAILED_LOOKS,
        at_least=0.5,
        shows_within=1.0,
        clears_within=5.0,
        example={"target": "products", "down": "5s"},
    )

    down: Duration = Field(0.0, le=300, description="start it again only after this time, or when the fault ends")

    async def act_in(self, process: Process) -> None:
        """Kill, then keep it from being started for as long as it is to be down."""
        service = self.process
        loop = asyncio.get_running_loop()
        until = loop.time() + self.down
        try:
            await self._hold_down(process, self.down)
            await process.kill(service)
            process.hit()
            while (left := until - loop.time()) > 0:
                await self._hold_down(process, left)
                await asyncio.sleep(min(left, RENEWED_EVERY))
            await process.stay()
        finally:
            await process.hold(service, pause=False, seconds=0.0)

    async def _hold_down(self, process: Process, seconds: float) -> None:
        await process.hold(self.process, pause=False, seconds=min(seconds, process.seconds_left()))
