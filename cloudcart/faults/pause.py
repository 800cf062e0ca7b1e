"""``pause``: the process stands still and goes on afterwards as if no time had passed: a frozen machine."""

from __future__ import annotations

import asyncio
from typing import Final

from cloudcart.faults.base import Fault, Process
from cloudcart.faults.contract import FAILED_LOOKS, Contract

RENEWED_EVERY: Final = 1.0
"""Seconds between two requests to the supervisor to go on holding, which also end the hold when they stop coming."""


class Pause(Fault):
    """SIGSTOP until the fault ends, then SIGCONT: connections stay open and nobody answers."""

    kind = "pause"
    place = "process"
    carried_out_by = "chaos"
    needs = "services that the lab itself has started, as embedded or in containers"
    contract = Contract(
        "errors",
        "the service answers nobody; its callers time out",
        quantity=FAILED_LOOKS,
        at_least=0.5,
        shows_within=2.0,
        clears_within=2.0,
        example={"target": "products"},
    )

    async def act_in(self, process: Process) -> None:
        """Hold the process again and again, each time for no longer than time to live and lease allow."""
        service = self.process
        try:
            await process.hold(service, pause=True, seconds=process.seconds_left())
            process.hit()
            while True:
                await asyncio.sleep(RENEWED_EVERY)
                await process.hold(service, pause=True, seconds=process.seconds_left())
        finally:
            await process.hold(service, pause=True, seconds=0.0)
