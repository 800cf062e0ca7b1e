"""A service whose latency distribution is known: lognormal, by median and p99. It ends with its standard input.

The n-th request takes the quantile at the n-th point of a sequence that fills the unit interval evenly (multiples of
the golden ratio), so a sample of some thousand has the distribution's own percentiles, but for one part in thousands.
It counts its requests as the shop's services do, under the name ``gateway``.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from statistics import NormalDist
from typing import Any

import uvicorn

from cloudcart.telemetry.metrics import CONTENT_TYPE, Telemetry

MEDIAN = 0.2
P99 = 0.9
_SIGMA = math.log(P99 / MEDIAN) / NormalDist().inv_cdf(0.99)
_GOLDEN = (math.sqrt(5) - 1) / 2


def truth(share: float) -> float:
    """Return the distribution's quantile in seconds."""
    return MEDIAN * math.exp(_SIGMA * NormalDist().inv_cdf(share))


class Service:
    def __init__(self) -> None:
        self.telemetry = Telemetry("gateway")
        self.numbers = itertools.count(1)

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]
    ) -> None:
        if scope["path"] == "/metrics":
            await self.answer(send, self.telemetry.exposition(), CONTENT_TYPE.encode())
            return
        began = time.perf_counter()
        await asyncio.sleep(truth(next(self.numbers) * _GOLDEN % 1.0))
        await self.answer(send, b"{}", b"application/json")
        self.telemetry.http.record("GET", "/", 200, time.perf_counter() - began)

    async def answer(self, send: Callable[..., Any], body: bytes, kind: bytes) -> None:
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(Service(), log_level="critical", access_log=False, lifespan="off")).run([listening])


if __name__ == "__main__":
    main()
