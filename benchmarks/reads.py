"""How fast the shop reads its catalogue, and how many log-ins it bears while its other users notice nothing.

    python benchmarks/reads.py [--quick] [--json]

A whole lab. ``GET /api/products`` (30 products) goes through the gateway from 32 connections, asked by ``wrk``, once
with the gateway's cache of lists and once without, so that each list comes from the product service and PostgreSQL.
Then 8 clients log in again and again, each log-in a bcrypt hash of 10 rounds (about 50 ms of CPU), while a shopper
reads orders and products at an even rate; the shopper's p99 is compared with what it was before the log-ins.

Exits with 1 if a request failed, with 2 if wrk is missing. A figure is for people to judge: the aim beside it is that
of 2 cores which do nothing else. ``--json`` prints the figures with their aims as one JSON object, last.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
import time
from typing import Any

from _wrk import is_installed, wrk
from checkout import quantile

import cloudcart
from cloudcart.lab import Lab
from cloudcart.services.http_client import HttpClient

# On 2 cores: lists and log-ins a second, and the shopper's p99 beside log-ins as a multiple of what it is without.
AIMS = {"reads_per_second": 3240, "logins_per_second": 30, "others_p99_times": 1.0, "errors": 0}
CONNECTIONS = 32
CLIENTS = 8
SHOPPER_RATE = 50  # requests a second
LIMIT = {"gateway.rate_limit_requests": 10**9}  # on, as users have it, and out of reach


def read(seconds: int, **overrides: object) -> dict[str, Any]:
    """Return what wrk measured of a lab with these settings."""
    with cloudcart.start(name="benchmark-reads", overrides={**LIMIT, **overrides}, prometheus=False) as lab:
        url = f"{lab.urls['gateway']}/api/products"
        wrk(url, connections=CONNECTIONS, seconds=1)  # warm
        return dataclasses.asdict(wrk(url, connections=CONNECTIONS, seconds=seconds))


async def log_in(lab: Lab, until: asyncio.Event) -> tuple[list[float], int]:
    """Log in again and again, and return how long each took, and how many failed."""
    client, durations, failed = HttpClient(), list[float](), 0
    body = json.dumps(lab.logins["demo"]._asdict()).encode()
    headers = [(b"content-type", b"application/json")]

    async def one() -> None:
        nonlocal failed
        while not until.is_set():
            began = time.perf_counter()
            answer = await client.request(
                "POST", lab.urls["gateway"], "/api/auth/login", headers=headers, body=body, timeout=30
            )
            if answer.status == 200:
                durations.append(time.perf_counter() - began)
            else:
                failed += 1

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    await client.aclose()
    return sorted(durations), failed


async def shop(lab: Lab, seconds: float) -> tuple[list[float], int]:
    """Read one's orders and a product in turns, at an even rate.

    Returns how long each took from when it was due, and how many failed.
    """
    client, durations, failed = HttpClient(), list[float](), 0
    headers = [(b"authorization", f"Bearer {lab.token('demo')}".encode())]

    async def one(path: str, due: float) -> None:
        nonlocal failed
        answer = await client.request("GET", lab.urls["gateway"], path, headers=headers, timeout=30)
        if answer.status == 200:
            durations.append(time.perf_counter() - due)
        else:
            failed += 1

    began = time.perf_counter()
    async with asyncio.TaskGroup() as requests:
        for number in range(int(seconds * SHOPPER_RATE)):
            due = began + number / SHOPPER_RATE
            await asyncio.sleep(due - time.perf_counter())
            path = "/api/orders/my-orders" if number % 2 else f"/api/products/{number % 30 + 1}"
            requests.create_task(one(path, due))
    await client.aclose()
    return sorted(durations), failed


async def beside_log_ins(lab: Lab, seconds: float) -> dict[str, Any]:
    """Return the figures of log-ins, and of a shopper without and with them."""
    await shop(lab, 1.0)  # connections, prepared statements
    alone, failed_alone = await shop(lab, seconds)
    end = asyncio.Event()
    began = time.perf_counter()
    logging_in = asyncio.create_task(log_in(lab, end))
    beside, failed_beside = await shop(lab, seconds)
    end.set()
    durations, failed = await logging_in
    took = time.perf_counter() - began
    return {
        "per_second": len(durations) / took,
        "p50_ms": quantile(durations, 0.5) * 1e3,
        "p99_ms": quantile(durations, 0.99) * 1e3,
        "errors": failed,
        "others_errors": failed_alone + failed_beside,
        "others_p99_alone_ms": quantile(alone, 0.99) * 1e3,
        "others_p99_ms": quantile(beside, 0.99) * 1e3,
        "others_p99_times": quantile(beside, 0.99) / quantile(alone, 0.99),
    }


def show(found: dict[str, Any]) -> None:
    for name, load in found["reads"].items():
        print(
            f"GET /api/products, {name:9} {load['requests_per_second']:7,.0f}/s (aim: {AIMS['reads_per_second']:,})   "
            f"p50 {load['p50']:6.2f} ms   p99 {load['p99']:6.2f} ms   errors {load['errors']}"
        )
    logins = found["logins"]
    print(
        f"log-ins {logins['per_second']:.1f}/s (aim: {AIMS['logins_per_second']}), p50 {logins['p50_ms']:.0f} ms, "
        f"p99 {logins['p99_ms']:.0f} ms, errors {logins['errors']}"
    )
    print(
        f"others' p99 {logins['others_p99_alone_ms']:.1f} ms without log-ins, {logins['others_p99_ms']:.1f} ms with: "
        f"{logins['others_p99_times']:.2f} times (aim: {AIMS['others_p99_times']:g}), errors {logins['others_errors']}"
    )


def main() -> int:
    """Measure; exit code 1 if a request failed. A figure is for people to judge, on a machine they know."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="4 s for each figure instead of 20")
    arguments.add_argument("--json", action="store_true", help="print the result as one JSON object, last")
    options = arguments.parse_args()
    if not is_installed():
        print("wrk is missing; run: apt-get install wrk", file=sys.stderr)
        return 2
    seconds = 4 if options.quick else 20
    reads = {"cache on": read(seconds), "cache off": read(seconds, **{"gateway.cache": False})}
    with cloudcart.start(name="benchmark-reads", overrides=LIMIT, prometheus=False) as lab:
        logins = asyncio.run(beside_log_ins(lab, seconds))
    failed = any(load["errors"] for load in (*reads.values(), logins)) or bool(logins["others_errors"])
    found = {"ok": not failed, "aims": AIMS, "reads": reads, "logins": logins}
    show(found)
    if options.json:
        print(json.dumps(found))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
