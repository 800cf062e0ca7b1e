"""How long an event takes from what happened to its effect: order committed, published, consumed, notification stored.

    python benchmarks/events.py [--rate 100] [--quick] [--json]

Buyers order and pay at a steady rate, whether or not those before them are served (an open model); each check-out is
three events for the notification worker and one of the product service. The times are the worker's own
(``event_end_to_end_seconds``, buckets 7 % wide at most). Where the machine does not bear the rate (a request fails, or
check-outs end later than they should), the next lower one is tried.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from _buyers import BUYERS, Checkout, Shop, Stock, visit

import cloudcart
from cloudcart.lab import Lab
from cloudcart.lab.event_tap import EventTap
from cloudcart.signals import Scraper
from cloudcart.signals.buckets import Buckets

METRIC = "event_end_to_end_seconds_bucket"
PRODUCTS = 24
WARM_UP = 2.0  # seconds
TOLERANCE = 0.05  # share of the planned time by which check-outs may end later

Series = Mapping[tuple[str, str], float]
"""Observations by topic and upper edge."""


def rates(first: float) -> Iterator[float]:
    """Yield the rates to try, each three quarters of the one before."""
    while first >= 5:
        yield first
        first = float(int(first * 0.75))


def observed(lab: Lab) -> Series:
    """Return the worker's histogram as it is now."""
    with Scraper({"notifications": lab.urls["notifications"]}, timeout=10.0) as scraper:
        page = scraper.take().pages["notifications"]
    return {(labels["topic"], labels["le"]): count for labels, count in page.metrics.series(METRIC)}


def quantiles(before: Series, after: Series, topic: str | None = None) -> dict[str, Any]:
    """Return how many events there were between two readings, and their times; of one topic or of all."""
    buckets = Buckets.of(
        ({"le": edge}, count - before.get((each, edge), 0.0))
        for (each, edge), count in after.items()
        if topic in (None, each)
    )
    p50, p99 = buckets.quantile(0.5), buckets.quantile(0.99)
    return {"events": buckets.count, "p50_ms": (p50 or 0.0) * 1e3, "p99_ms": (p99 or 0.0) * 1e3}


async def stock_up(lab: Lab) -> None:
    """Have enough of everything."""
    shop = Shop(lab)
    await shop.stock_up(Stock(scarce=1_000_000))
    await shop.close()


async def buy(lab: Lab, rate: float, seconds: float) -> tuple[float, Counter[str]]:
    """Return how long check-outs at ``rate`` for ``seconds`` took in the end, and the answers by step and status."""
    users = lab.prepare_users(BUYERS)
    shop = Shop(lab)
    checkouts = [
        Checkout(users[number % BUYERS], f"{rate}-{seconds}-{number}", number % PRODUCTS + 1, 1, cancels=False)
        for number in range(round(rate * seconds))
    ]
    began = time.monotonic()
    await visit(shop, checkouts, rate)
    took = time.monotonic() - began
    await shop.close()
    return took, shop.answers


def measure(lab: Lab, tap: EventTap, rate: float, seconds: float) -> dict[str, Any]:
    """Return the figures at one rate."""
    asyncio.run(stock_up(lab))
    asyncio.run(buy(lab, rate, WARM_UP))
    lab.check_invariants(tap)  # waits until everything is handled
    before = observed(lab)
    took, answers = asyncio.run(buy(lab, rate, seconds))
    invariants = {each.name: each.verdict for each in lab.check_invariants(tap)}
    after = observed(lab)
    served = all(step.rpartition(" ")[2] in ("200", "201") for step in answers)
    return {
        "rate": rate,
        "seconds": took,
        "kept": served and took <= seconds * (1 + TOLERANCE) + 0.5,
        "answers": dict(answers),
        "invariants": invariants,
        "all": quantiles(before, after),
        "topics": {topic: quantiles(before, after, topic) for topic in sorted({topic for topic, _ in after})},
    }


def show(found: dict[str, Any]) -> None:
    """Print one rate's figures."""
    print(f"{found['rate']:g} check-outs/s {'' if found['kept'] else '(not borne) '}{found['answers']}")
    for topic, times in {"all": found["all"], **found["topics"]}.items():
        if times["events"]:
            print(
                f"  {topic:<26} {times['events']:>6} events, p50 {times['p50_ms']:.0f} ms, p99 {times['p99_ms']:.0f} ms"
            )


def main() -> int:
    """Measure; exit with 1 when an invariant is broken. Times are for people to judge, on a machine they know."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rate", type=float, default=100.0, help="check-outs a second to begin with (default 100)")
    arguments.add_argument("--quick", action="store_true", help="5 s instead of 30, and three rates at most")
    arguments.add_argument("--json", action="store_true", help="print JSON only")
    options = arguments.parse_args()
    results = []
    overrides = {"gateway.rate_limit": "off"}
    with (
        cloudcart.start(overrides=overrides, name="benchmark-events", prometheus=False) as lab,
        lab.tap_events() as tap,
    ):
        for rate in itertools.islice(rates(options.rate), 3 if options.quick else None):
            results.append(measure(lab, tap, rate, 5.0 if options.quick else 30.0))
            if not options.json:
                show(results[-1])
            if results[-1]["kept"]:
                break
    broken = any("fail" in found["invariants"].values() for found in results)
    if options.json:
        print(json.dumps({"ok": not broken, "results": results}))
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
