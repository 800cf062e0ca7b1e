"""``memory_leak``: the process takes more and more memory; all of it is given back at the end of the fault."""

from __future__ import annotations

import asyncio
import mmap
from typing import Final

from pydantic import Field

from cloudcart.faults.base import Fault, Process
from cloudcart.faults.contract import MEMORY, Contract
from cloudcart.units import Size

_TICK: Final = 0.1  # seconds


class MemoryLeak(Fault):
    """Memory that is used and never freed, up to a limit that spares the machine."""

    kind = "memory_leak"
    place = "process"
    contract = Contract(
        "saturation",
        "memory of the process grows by the rate",
        quantity=MEMORY,
        at_least=15 * 2.0**20,
        shows_within=2.0,
        clears_within=2.0,
        example={"target": "products", "rate": "50MiB", "limit": "60MiB"},
    )

    rate: Size = Field(10 * 2.0**20, gt=0, description="bytes per second, as 10MiB")
    limit: Size = Field(256 * 2.0**20, gt=0, le=8 * 2.0**30, description="bytes at which the leak stops growing")

    async def act_in(self, process: Process) -> None:
        """Take pages from the system itself: what is given back is then free at once, unlike Python's own memory."""
        leaked: list[mmap.mmap] = []
        size = max(mmap.PAGESIZE, int(min(self.rate * _TICK, self.limit)))
        process.hit()
        try:
            while (len(leaked) + 1) * size <= max(self.limit, size):
                leaked.append(_used_pages(size))
                await asyncio.sleep(size / self.rate)
            await process.stay()
        finally:
            for pages in leaked:
                pages.close()


def _used_pages(size: int) -> mmap.mmap:
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages.write(b"\1" * size)  # pages that nobody has written to take no memory
    return pages
