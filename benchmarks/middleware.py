"""What the chaos middleware costs, and whether it injects what was drawn.

    python benchmarks/middleware.py [--quick] [--json]

Cost: seconds of the bare application subtracted from those of the wrapped one, measured in turns in one process; of
each the best of many short rounds, which is the one that no other program disturbed. Truth: lateness of injected delays
against the delays drawn, share of errors against their probability over 10,000 requests, and whether the same seed hits
the same requests, also with 32 and 64 of them in flight at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from collections.abc import Coroutine
from typing import Any

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.draw import Draws, number
from cloudcart.chaos.middleware import ASGIApp, ChaosMiddleware
from cloudcart.faults import Latency, parse_fault
from cloudcart.telemetry.context import RequestContext, current

ROUTE = "/products/{id}"
SEED = 7
LIMITS = {"none active": 1.0, "none matching": 5.0}
"""Microseconds that are promised for cases whose names end so."""
LATE = 2.0
"""Milliseconds, at p99, that an answer may come later than was drawn."""
HEADERS = [(name.encode(), b"some value of usual length") for name in ("host", "accept", "user-agent", "x-a", "x-b")]


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once: everything measured beyond it is the middleware."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def receive() -> dict[str, Any]:
    await asyncio.Event().wait()  # the client has sent everything and stays
    raise AssertionError


async def ignore(_message: Any) -> None:
    pass


def scope(key: str = "") -> dict[str, Any]:
    headers = [*HEADERS, (b"x-cloudcart-request-key", key.encode())] if key else HEADERS
    return {"type": "http", "method": "GET", "path": "/products/7", "cloudcart.route": ROUTE, "headers": headers}


def wrapped(*documents: dict[str, object], seed: int = SEED) -> ChaosMiddleware:
    active = ActiveFaults("products", lab=True, seed=seed)
    for place, document in enumerate(documents):
        active.add(parse_fault({"target": "products", "ttl": "1h", **document}), f"fault-{place}")
    return ChaosMiddleware(application, active=active)


# Cost


async def calls(app: ASGIApp, count: int) -> float:
    request = scope()
    context = RequestContext("id", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "browse/1/1")
    current.set(context)
    begun = time.perf_counter()
    for _ in range(count):
        context.marks.clear()  # as in a fresh request
        await app(request, receive, ignore)
    return (time.perf_counter() - begun) / count


async def cost(rounds: int, count: int) -> dict[str, float]:
    """Return microseconds a request beyond the bare application, by case."""
    elsewhere = {"kind": "error", "target": "products:/products"}
    headers = {"kind": "error", "header": "x-absent=1"}
    cases = {
        "none active": wrapped(),
        "1 active, none matching": wrapped(elsewhere),
        "10 active, none matching": wrapped(*[elsewhere] * 10),
        "100 active, none matching": wrapped(*[elsewhere] * 100),
        "100 active, each wants a header": wrapped(*[{**headers, "header": f"x-absent-{n}=1"} for n in range(100)]),
        "1 matching, never hits": wrapped({"kind": "latency", "fixed": "1s", "probability": 1e-12}),
        "10 matching, never hit": wrapped(*[{"kind": "latency", "fixed": "1s", "probability": 1e-12}] * 10),
        "100 matching, never hit": wrapped(*[{"kind": "latency", "fixed": "1s", "probability": 1e-12}] * 100),
        "latency of 0s hits": wrapped({"kind": "latency", "fixed": "0s"}),
        "error hits": wrapped({"kind": "error"}),
    }
    for app in cases.values():
        await calls(app, count)  # warm
    best = dict.fromkeys(cases, math.inf)
    bare = math.inf
    for _ in range(rounds):
        bare = min(bare, await calls(application, count))
        for name, app in cases.items():
            best[name] = min(best[name], await calls(app, count))
    current.set(None)
    return {name: round((seconds - bare) * 1e6, 3) for name, seconds in best.items()}


# Truth


async def lateness(delays: int, at_once: int = 10) -> dict[str, float]:
    """Return how many milliseconds later than drawn an answer comes, over lognormal delays.

    Beside each request an ``asyncio.sleep`` of the same length runs at the same moment: it shows what the machine and
    the event loop make of a delay, and ``beyond_sleep`` what the middleware adds, also where other programs disturb.
    """
    document = {"kind": "latency", "median": "20ms", "p99": "80ms"}
    app = wrapped(document)
    fault = parse_fault({"target": "products", "ttl": "1h", **document})
    assert isinstance(fault, Latency)
    draws = Draws(SEED, fault.identity)

    async def late(work: Coroutine[Any, Any, Any], begun: float, drawn: float) -> float:
        await work
        return (time.perf_counter() - begun - drawn) * 1e3

    async def pair(key: str) -> list[float]:
        drawn, begun = fault.quantile(number(draws.digest(f"{key} {ROUTE}"), 1)), time.perf_counter()
        request = late(app(scope(key), receive, ignore), begun, drawn)
        return await asyncio.gather(request, late(asyncio.sleep(drawn), begun, drawn))

    pairs: list[list[float]] = []
    for start in range(0, delays, at_once):
        pairs += await asyncio.gather(*(pair(f"late/{n}/1") for n in range(start, start + at_once)))
    columns = {
        "": [answer for answer, _ in pairs],
        "sleep_": [asleep for _, asleep in pairs],
        "beyond_sleep_": [answer - asleep for answer, asleep in pairs],
    }
    shares = {"p50_ms": 0.5, "p99_ms": 0.99}
    return {name + share: quantile(values, shares[share]) for name, values in columns.items() for share in shares}


def quantile(values: list[float], share: float) -> float:
    return round(sorted(values)[math.ceil(len(values) * share) - 1], 3)


async def hit_keys(requests: int, connections: int, *, seed: int = SEED) -> set[str]:
    """Return the keys of the requests that an error of 10 % hit."""
    app = wrapped({"kind": "error", "probability": 0.1}, seed=seed)
    keys = iter([f"checkout/{n}/2" for n in range(requests)])
    hit: set[str] = set()

    async def connection() -> None:
        for key in keys:

            async def send(message: Any, key: str = key) -> None:
                await asyncio.sleep(0)  # let the others overtake
                if message.get("status") == 503:
                    hit.add(key)

            await app(scope(key), receive, send)

    await asyncio.gather(*(connection() for _ in range(connections)))
    return hit


async def truth(delays: int) -> dict[str, object]:
    requests, probability = 10_000, 0.1
    alone, again, many, most = [await hit_keys(requests, n) for n in (1, 1, 32, 64)]
    other = await hit_keys(requests, 1, seed=SEED + 1)
    bound = 3.29 * math.sqrt(probability * (1 - probability) / requests)  # two-sided 99.9 % of the normal approximation
    return {
        "lateness": await lateness(delays),
        "error_ratio": len(alone) / requests,
        "probability": probability,
        "bound": round(bound, 5),
        "within_bound": abs(len(alone) / requests - probability) <= bound,
        "same_seed_same_requests": alone == again,
        "1_and_32_connections_same_requests": alone == many,
        "1_and_64_connections_same_requests": alone == most,
        "other_seed_other_requests": alone != other,
    }


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run on the loop that the services use, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def main() -> int:
    """Run the benchmark; exit code 1 if not what was drawn was injected. Times are for people to judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: about ten seconds")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object, last")
    options = parser.parse_args()
    rounds, count, delays = (50, 1_000, 1_000) if options.quick else (300, 1_000, 5_000)
    result = {"microseconds": run(cost(rounds, count)), "truth": run(truth(delays))}
    for name, value in result["microseconds"].items():
        limit = next((f"  (promised: under {most:g})" for end, most in LIMITS.items() if name.endswith(end)), "")
        print(f"{name:34} {value:8.3f} us a request{limit}")
    for name, value in result["truth"].items():
        print(f"{name:34} {value}" + (f"  (promised: p99 under {LATE:g} ms)" if name == "lateness" else ""))
    if options.json:
        print(json.dumps(result))
    return 0 if all(value for value in result["truth"].values() if isinstance(value, bool)) else 1


if __name__ == "__main__":
    sys.exit(main())
