"""``cpu_burn``: the process computes for nothing, so that its requests wait for a processor."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from typing import Final

from pydantic import Field

from cloudcart.faults.base import Fault, Process
from cloudcart.faults.contract import CPU, Contract

_SLICE: Final = 0.02  # seconds of which a thread computes its share
_BLOCK: Final = bytes(64 * 1024)  # hashed without the interpreter's lock, so that threads burn several cores


class CpuBurn(Fault):
    """Threads in the service's own process that keep a number of cores busy."""

    kind = "cpu_burn"
    place = "process"
    contract = Contract(
        "saturation",
        "CPU of the process grows by the number of cores",
        quantity=CPU,
        at_least=0.1,
        shows_within=2.0,
        clears_within=2.0,
        example={"target": "products", "cores": 2},
    )

    cores: float = Field(1.0, gt=0, le=64, description="how many cores are kept busy, as 1 or 0.5")

    async def act_in(self, process: Process) -> None:
        """Burn in threads, which look themselves whether their time is up."""
        stop = threading.Event()
        shares = [min(1.0, self.cores - core) for core in range(math.ceil(self.cores))]
        try:
            for share in shares:
                threading.Thread(target=_burn, args=(share, stop, process), name="cpu-burn", daemon=True).start()
            process.hit()
            await process.stay()
        finally:
            stop.set()


def _burn(share: float, stop: threading.Event, process: Process) -> None:
    while not stop.is_set() and process.seconds_left() > 0:
        until = time.perf_counter() + share * _SLICE
        while time.perf_counter() < until:
            hashlib.sha256(_BLOCK)
        if share < 1:
            stop.wait((1 - share) * _SLICE)
