"""``fd_leak``: the process opens files and never closes them, until the fault ends."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from pydantic import Field

from cloudcart.faults.base import Fault, Process
from cloudcart.faults.contract import OPEN_FILES, Contract


class FdLeak(Fault):
    """File descriptors that leak; where the system's limit is lower than ``limit``, new connections fail."""

    kind = "fd_leak"
    place = "process"
    contract = Contract(
        "saturation",
        "open files of the process grow by the rate",
        quantity=OPEN_FILES,
        at_least=15.0,
        shows_within=2.0,
        clears_within=2.0,
        example={"target": "products", "rate": 100},
    )

    rate: float = Field(50.0, gt=0, le=10_000, description="descriptors per second")
    limit: int = Field(500, ge=1, le=1_000_000, description="number at which the leak stops growing")

    async def act_in(self, process: Process) -> None:
        """Open the null device again and again."""
        leaked: list[int] = []
        process.hit()
        try:
            while len(leaked) < self.limit:
                with suppress(OSError):  # the system's limit is reached: that is what was wanted
                    leaked.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
                await asyncio.sleep(1 / self.rate)
            await process.stay()
        finally:
            for descriptor in leaked:
                os.close(descriptor)
