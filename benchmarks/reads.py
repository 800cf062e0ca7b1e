"""How fast the shop reads its catalogue, and how many log-ins it bears while its other users notice nothing.

    python benchmarks/reads.py [--quick] [--json]

A whole lab. ``GET /api/products`` (30 products) goes through the gateway from 32 connections, asked by ``wrk``: with
the gateway's cache of lists; without it, so that the product service answers from its pages in Redis; and without
either, so that each list comes from PostgreSQL.

Then 8 clients log in again and again, each log-in a bcrypt hash of 10 rounds (about 50 ms of CPU), while a shopper
reads orders and products at an even rate. The shopper's p99 is compared with what it is alone, and with what it is
beside as many threads as log-ins have that only hash, belong to nobody, and run when nothing else wants the CPU
(``SCHED_IDLE``): what even they cost is the price of a busy processor, whose hardware threads and caches are shared,
and no work of the shop's own. How many hashes they compute is what log-ins could reach if they were nothing else. The
three take turns in rounds, whose durations are put together.

Exits with 1 if a request failed, with 2 if wrk is missing. A figure is for people to judge: the aim beside it is that
of 2 cores which do nothing else. ``--json`` prints the figures with their aims as one JSON object, last.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from _wrk import is_installed, wrk
from checkout import quantile

import cloudcart
from cloudcart.lab import Lab
from cloudcart.services.http_client import HttpClient

# On 2 cores: lists and log-ins a second, and the shopper's p99 beside log-ins as a multiple of what it is beside mere
# hashing that gives way to everything.
AIMS = {"reads_per_second": 3240, "logins_per_second": 30, "others_p99_times": 1.2, "errors": 0}
CONNECTIONS = 32
CLIENTS = 8
SHOPPER_RATE = 50  # requests a second
ROUNDS = 3
HASHING_THREADS = 2  # as in cloudcart.services.users.passwords
HASHING = """
import os, bcrypt
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)) if hasattr(os, "SCHED_IDLE") else os.nice(19)
salt = bcrypt.gensalt(10)
while True:
    bcrypt.hashpw(b"password", salt)
    os.write(1, b".")
"""
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


@contextmanager
def hashing() -> Iterator[list[bytes]]:
    """Hash in as many processes as the user service has threads for it, whenever nothing else wants the CPU.

    Gives a list that has a byte for each hash at the end.
    """
    hashes: list[bytes] = []
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen([sys.executable, "-c", HASHING], stdout=subprocess.PIPE))
            for _ in range(HASHING_THREADS)
        ]
        try:
            for process in processes:
                assert process.stdout is not None
                process.stdout.read(1)  # it has begun
            yield hashes
        finally:
            for process in processes:
                process.kill()
        hashes += [process.communicate()[0] for process in processes]


async def beside_log_ins(lab: Lab, seconds: float) -> dict[str, Any]:
    """Return the figures of log-ins, and of a shopper alone, beside mere hashing and beside them."""
    others: dict[str, list[float]] = {"alone": [], "hashing": [], "log-ins": []}
    durations: list[float] = []
    failed = others_failed = 0
    logging_in_for = hashing_for = 0.0
    hashed = 0

    async def note(name: str) -> float:
        nonlocal others_failed
        began = time.perf_counter()
        found, wrong = await shop(lab, seconds / ROUNDS)
        others[name] += found
        others_failed += wrong
        return time.perf_counter() - began

    await shop(lab, 1.0)  # connections, prepared statements
    for _ in range(ROUNDS):
        await note("alone")
        with hashing() as hashes:
            hashing_for += await note("hashing")
        hashed += len(b"".join(hashes))
        end = asyncio.Event()
        began = time.perf_counter()
        logging_in = asyncio.create_task(log_in(lab, end))
        await note("log-ins")
        end.set()
        found, wrong = await logging_in
        logging_in_for += time.perf_counter() - began
        durations += found
        failed += wrong
    durations.sort()
    p99 = {name: quantile(sorted(found), 0.99) for name, found in others.items()}
    return {
        "per_second": len(durations) / logging_in_for,
        "hashing_per_second": hashed / hashing_for,
        "p50_ms": quantile(durations, 0.5) * 1e3,
        "p99_ms": quantile(durations, 0.99) * 1e3,
        "errors": failed,
        "others_errors": others_failed,
        "others_p99_alone_ms": p99["alone"] * 1e3,
        "others_p99_beside_hashing_ms": p99["hashing"] * 1e3,
        "others_p99_ms": p99["log-ins"] * 1e3,
        "others_p99_times": p99["log-ins"] / p99["hashing"],
        "others_p99_times_alone": p99["log-ins"] / p99["alone"],
    }


def show(found: dict[str, Any]) -> None:
    for name, load in found["reads"].items():
        print(
            f"GET /api/products, {name:18} {load['requests_per_second']:7,.0f}/s (aim: {AIMS['reads_per_second']:,})   "
            f"p50 {load['p50']:6.2f} ms   p99 {load['p99']:6.2f} ms   errors {load['errors']}"
        )
    logins = found["logins"]
    print(
        f"log-ins {logins['per_second']:.1f}/s (aim: {AIMS['logins_per_second']}; mere hashing "
        f"{logins['hashing_per_second']:.1f}/s), p50 {logins['p50_ms']:.0f} ms, p99 {logins['p99_ms']:.0f} ms, "
        f"errors {logins['errors']}"
    )
    print(
        f"others' p99 {logins['others_p99_alone_ms']:.1f} ms alone, {logins['others_p99_beside_hashing_ms']:.1f} ms "
        f"beside mere hashing, {logins['others_p99_ms']:.1f} ms beside log-ins: {logins['others_p99_times']:.2f} times "
        f"mere hashing (aim: {AIMS['others_p99_times']:g}), errors {logins['others_errors']}"
    )


def main() -> int:
    """Measure; exit code 1 if a request failed. A figure is for people to judge, on a machine they know."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="4 s for each figure instead of 30")
    arguments.add_argument("--json", action="store_true", help="print the result as one JSON object, last")
    options = arguments.parse_args()
    if not is_installed():
        print("wrk is missing; run: apt-get install wrk", file=sys.stderr)
        return 2
    seconds = 4 if options.quick else 30
    of_gateway, of_products = {"gateway.cache": False}, {"products.cache": False}
    reads = {
        "gateway's cache": read(seconds),
        "pages in Redis": read(seconds, **of_gateway),
        "no cache": read(seconds, **of_gateway, **of_products),
    }
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
