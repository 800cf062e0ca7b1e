"""How many orders a second the shop takes and charges for, through its gateway, and what that costs each process.

    python benchmarks/checkout.py [--quick] [--json]

A check-out is two requests, an order and its payment, by a worker that begins the next when the last is done (a closed
loop: it finds the shop's limit, not what users would feel beyond it). Workers are shoppers with tokens of their own,
spread over all products. The client runs on the same machine and takes its share of it, which is shown, too.

Exits with 1 if an order or a payment failed. A rate is for people to judge: the aim beside it is that of 2 cores which
do nothing else. ``--json`` prints the figures with their aims as one JSON object, last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from collections import Counter
from typing import Any

import psutil

import cloudcart
from cloudcart.lab import Lab
from cloudcart.services.http_client import HttpClient

PRODUCTS = 24
STOCK = 1_000_000_000
AIMS = {16: 136, 64: 116}  # check-outs a second by the number of workers, without an error, on 2 cores


def quantile(ordered: list[float], share: float) -> float:
    """Return the smallest value that ``share`` of all do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


class Load:
    """So many workers that check out until the time is up."""

    def __init__(self, lab: Lab, workers: int) -> None:
        self.base = lab.urls["gateway"]
        self.users = lab.prepare_users(workers)
        self.durations: list[float] = []
        self.errors: Counter[str] = Counter()

    async def run(self, seconds: float) -> float:
        """Return how long it took."""
        client, began = HttpClient(), time.perf_counter()
        end = began + seconds
        await asyncio.gather(*(self._worker(client, number, end) for number in range(len(self.users))))
        took = time.perf_counter() - began
        await client.aclose()
        return took

    async def _worker(self, client: HttpClient, number: int, end: float) -> None:
        turn = number
        while (began := time.perf_counter()) < end:
            turn += 1
            if error := await check_out(client, self.base, self.users[number].token, turn % PRODUCTS + 1):
                self.errors[error] += 1
            else:
                self.durations.append(time.perf_counter() - began)


async def check_out(client: HttpClient, base: str, token: str, product: int) -> str:
    """Order a piece of a product and pay for it; return what went wrong, if anything."""
    headers = [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/json")]
    body = json.dumps({"items": [{"product_id": product, "quantity": 1}]}).encode()
    ordered = await client.request("POST", base, "/api/orders", headers=headers, body=body, timeout=30)
    if ordered.status != 201:
        return f"order {ordered.status}"
    path = f"/api/orders/{json.loads(ordered.body)['id']}/pay"
    pay = b'{"payment_method": "card"}'
    paid = await client.request("POST", base, path, headers=headers, body=pay, timeout=30)
    return "" if paid.status == 200 else f"pay {paid.status}"


def cpu(lab: Lab) -> dict[str, float]:
    """Return the seconds of CPU that each process of the lab, with its children, and this one have used."""
    found = {"client": sum(psutil.Process().cpu_times()[:2])}
    for name, pid in lab.pids.items():
        processes = (
            [psutil.Process(pid), *psutil.Process(pid).children()] if name == "postgres" else [psutil.Process(pid)]
        )
        found[name] = sum(sum(process.cpu_times()[:2]) for process in processes)
    return found


def measure(lab: Lab, workers: int, seconds: float) -> dict[str, Any]:
    """Return the figures of one number of workers."""
    lab.reset()
    stock_up(lab)
    asyncio.run(Load(lab, workers).run(1.0))  # connections, prepared statements, caches
    load, before = Load(lab, workers), cpu(lab)
    took = asyncio.run(load.run(seconds))
    used = {name: round((after - before[name]) / took, 3) for name, after in cpu(lab).items()}
    ordered = sorted(load.durations)
    return {
        "workers": workers,
        "seconds": took,
        "checkouts": len(ordered),
        "per_second": len(ordered) / took,
        "aim_per_second": AIMS[workers],
        "p50_ms": quantile(ordered, 0.5) * 1e3,
        "p99_ms": quantile(ordered, 0.99) * 1e3,
        "errors": dict(load.errors),
        "cpu": dict(sorted(used.items(), key=lambda item: -item[1])),
    }


def stock_up(lab: Lab) -> None:
    """Have enough of everything."""

    async def fill() -> None:
        client = HttpClient()
        headers = [(b"authorization", f"Bearer {lab.token()}".encode()), (b"content-type", b"application/json")]
        body = json.dumps({"stock": STOCK}).encode()
        for number in range(1, PRODUCTS + 1):
            path = f"/api/products/{number}/stock"
            answer = await client.request("PATCH", lab.urls["gateway"], path, headers=headers, body=body, timeout=30)
            assert answer.status == 200, answer.body
        await client.aclose()

    asyncio.run(fill())


def show(found: dict[str, Any]) -> None:
    print(
        f"{found['workers']:>3} workers: {found['per_second']:6.1f} check-outs/s (aim: {found['aim_per_second']}), "
        f"p50 {found['p50_ms']:.0f} ms, p99 {found['p99_ms']:.0f} ms, errors {found['errors'] or 'none'} (aim: none)"
    )
    print("    cores: " + ", ".join(f"{name} {share:.2f}" for name, share in found["cpu"].items() if share >= 0.01))


def main() -> int:
    """Measure; exit code 1 if an order or a payment failed. A rate is for people to judge, on a machine they know."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="5 s for each number of workers instead of 30")
    arguments.add_argument("--json", action="store_true", help="print the result as one JSON object, last")
    options = arguments.parse_args()
    overrides = {"gateway.rate_limit": "off"}
    with cloudcart.start(overrides=overrides, name="benchmark-checkout", prometheus=False) as lab:
        results = [measure(lab, workers, 5.0 if options.quick else 30.0) for workers in AIMS]
    failed = any(found["errors"] for found in results)
    for found in results:
        show(found)
    if options.json:
        print(json.dumps({"ok": not failed, "aims": {"per_second": AIMS, "errors": 0}, "results": results}))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
