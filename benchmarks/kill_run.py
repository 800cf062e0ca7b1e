"""Is anything lost when processes are killed under load? Check-outs at a steady rate, and a random blow every 3 s.

    python benchmarks/kill_run.py [--seeds 1-5] [--seconds 60] [--rate 30] [--every 3] [--quick] [--json]
    python benchmarks/kill_run.py --every 1 --set stores.outbox=off    # what the outbox is for: some event is lost

Blows: each service and the worker killed (SIGKILL) or paused, the broker paused, Redis and PostgreSQL killed, every
session of PostgreSQL ended. Afterwards buyers ask again for whatever they had no answer to; then every order that was
acknowledged must be there, once, paid for once if it was paid, and every event published, handled, and told once; and
the lists that products keeps in Redis must show the stock that there is, which only events tell them here.
Exits with 1 if anything is not so. The same seed kills the same processes in the same order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import psycopg
from _buyers import BUYERS, SCARCE_SHARE, Checkout, Outcome, Shop, Stock, plan, visit
from _kills import kill

import cloudcart
from cloudcart.events import OrderCreated, OrderPaymentConfirmed, OrderStatusChanged
from cloudcart.lab import Lab
from cloudcart.lab.event_tap import EventTap

PATIENCE = 60.0  # seconds without anything becoming known
SHOWN = 20  # of what is wrong
HOLD = 3.0  # seconds that stock is kept for a payment that did not happen: the sweep is to be seen at work
OVERRIDES = {"gateway.rate_limit": "off", "products.hold": HOLD, "products.cache_ttl": "1h"}

ORDERS = "SELECT id, status FROM orders.orders"
PAYMENTS = "SELECT order_id FROM orders.payments"
TOLD = "SELECT event_id, count(*) FROM notifications.notifications GROUP BY event_id"
HANDLED = "SELECT count(*) FROM notifications.inbox"
LIST = "/products?limit=500"
STOCK = "SELECT id, stock FROM products.products"
HELD = """
SELECT count(*) FROM products.stock_holds JOIN orders.orders ON orders.id = order_id
WHERE state = 'taken' AND status = 'awaiting_payment'
"""


async def storm(
    lab: Lab, options: argparse.Namespace, draw: random.Random
) -> tuple[Shop, list[Checkout], Counter[str]]:
    """Let buyers come and processes die, then let the buyers ask until they know."""
    count = round(options.rate * options.seconds)
    checkouts = plan(lab.prepare_users(BUYERS), count, draw)
    shop, blows = Shop(lab), Counter[str]()
    await shop.stock_up(Stock(scarce=max(1, round(count * SCARCE_SHARE))))  # two pieces are wanted for each
    async with asyncio.TaskGroup() as together:
        together.create_task(visit(shop, checkouts, options.rate))
        together.create_task(kill(lab, options.every, options.seconds, draw, blows))
        together.create_task(browse(lab, options.seconds))
    await asyncio.to_thread(lab.wait_ready, PATIENCE)
    await shop.settle(checkouts, PATIENCE)
    await shop.close()
    return shop, checkouts, blows


async def browse(lab: Lab, seconds: float) -> None:
    """Look at the list of products all the time, so that there is a page which each sale outdates."""
    end = time.monotonic() + seconds
    async with httpx.AsyncClient() as client:
        while time.monotonic() < end:
            with suppress(httpx.HTTPError):  # products may be the one that was killed
                await client.get(f"{lab.urls['products']}{LIST}", timeout=2)
            await asyncio.sleep(0.2)


def swept(database: psycopg.Connection[Any]) -> bool:
    """Wait until no stock is held for a payment that did not happen, and say whether that came to be."""
    end = time.monotonic() + PATIENCE
    while database.execute(HELD).fetchone() != (0,):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def shown(lab: Lab, database: psycopg.Connection[Any]) -> bool:
    """Wait until the list of products shows the stock that there is, and say whether that came to be."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        listed = httpx.get(f"{lab.urls['products']}{LIST}", timeout=5).json()
        if {each["id"]: each["stock"] for each in listed} == dict(database.execute(STOCK).fetchall()):
            return True
        time.sleep(0.1)
    return False


def lost(database: psycopg.Connection[Any], tap: EventTap, checkouts: list[Checkout]) -> list[str]:
    """Return a sentence for each thing that is missing or there twice, beside what the invariants say."""
    return [*unsettled(checkouts), *wrong_orders(database, checkouts), *wrong_notifications(database, tap)]


def unsettled(checkouts: list[Checkout]) -> Iterator[str]:
    """Yield what the shop never answered."""
    for each in checkouts:
        if not each.settled:
            yield f"{each.key}: ordered {each.ordered}, paid {each.paid}, cancelled {each.cancelled}"


def wrong_orders(database: psycopg.Connection[Any], checkouts: list[Checkout]) -> Iterator[str]:
    """Compare orders and payments with what buyers were told."""
    statuses = dict(database.execute(ORDERS).fetchall())
    payments = Counter(order for (order,) in database.execute(PAYMENTS))
    for number in acknowledged(checkouts) - statuses.keys():
        yield f"order {number} was acknowledged and is not there"
    for number in statuses.keys() - acknowledged(checkouts):
        yield f"order {number} is there and nobody ordered it"
    for each in (each for each in checkouts if each.settled and each.ordered is Outcome.DONE):
        if payments[each.order_id] != (each.paid is Outcome.DONE):
            yield f"order {each.order_id}: payment {each.paid}, and there are {payments[each.order_id]}"
        if each.cancelled is Outcome.DONE and statuses.get(each.order_id) != "cancelled":
            yield f"order {each.order_id} was cancelled and is {statuses.get(each.order_id)}"


def wrong_notifications(database: psycopg.Connection[Any], tap: EventTap) -> Iterator[str]:
    """Compare what users were told with what was published: each event of an order once, however often it came."""
    told = dict(database.execute(TOLD).fetchall())
    for event in {event.event_id: event for event in tap.events()}.values():
        if isinstance(event, OrderCreated | OrderPaymentConfirmed | OrderStatusChanged):
            times = told.get(event.event_id, 0)
            if times != 1:
                yield f"{event.topic} of order {event.order_id} was told {times} times"


def acknowledged(checkouts: list[Checkout]) -> set[int]:
    """Return the orders that buyers were told of."""
    return {each.order_id for each in checkouts if each.ordered is Outcome.DONE}


def one_seed(seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Start a shop, break it as the seed says, and return the counts and what is wrong."""
    overrides = {**OVERRIDES, **dict(entry.split("=", 1) for entry in options.overrides)}
    with (
        cloudcart.start(overrides=overrides, name=f"kill-run-{seed}", prometheus=False) as lab,
        lab.tap_events() as tap,
    ):
        shop, checkouts, blows = asyncio.run(storm(lab, options, random.Random(seed)))
        with psycopg.connect(lab.database_url, autocommit=True) as database:
            released = swept(database)
            results = lab.check_invariants(tap)
            wrong = [f"{each.name}: {each.detail}" for each in results if each.verdict != "pass"]
            wrong += [] if released else ["stock is still held for payments that did not happen"]
            wrong += [] if shown(lab, database) else ["the list of products shows stock of before"]
            wrong += [*lost(database, tap, checkouts), *(f"{what} ({n} times)" for what, n in shop.surprises.items())]
            handled = database.execute(HANDLED).fetchone()
        published = [each.event.event_id for each in tap.published()]
        return {
            "seed": seed,
            "checkouts": len(checkouts),
            "acknowledged": len(acknowledged(checkouts)),
            "paid": sum(each.paid is Outcome.DONE for each in checkouts),
            "refused": sum(each.paid is Outcome.REFUSED for each in checkouts),
            "cancelled": sum(each.cancelled is Outcome.DONE for each in checkouts),
            "unknown": shop.unknown,
            "published": len(published),
            "events": len(set(published)),
            "handled": handled[0] if handled else 0,
            "restarts": sum(each.restarts for each in lab.status().services.values()),
            "blows": dict(sorted(blows.items())),
            "answers": dict(sorted(shop.answers.items())),
            "wrong": wrong,
        }


def show(found: dict[str, Any]) -> None:
    """Print one seed's counts."""
    blows = ", ".join(f"{name} {count}" for name, count in found["blows"].items())
    print(
        f"seed {found['seed']}: {found['checkouts']} check-outs: {found['acknowledged']} acknowledged, "
        f"{found['paid']} paid, {found['refused']} refused for lack of stock, {found['cancelled']} cancelled again\n"
        f"  without an answer that says what happened, asked again: {found['unknown']}\n"
        f"  events: {found['events']} ({found['published']} messages), {found['handled']} handled; "
        f"{found['restarts']} restarts of services\n"
        f"  blows: {blows}"
    )
    for each in found["wrong"][:SHOWN]:
        print(f"  WRONG: {each}")
    if (more := len(found["wrong"]) - SHOWN) > 0:
        print(f"  WRONG: and {more} more")


def seeds(text: str) -> list[int]:
    """Read ``1-5`` or ``3`` or ``1,4``."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main() -> int:
    """Run every seed; exit with 1 when anything was lost or doubled."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=seeds, default=[*range(1, 6)], help="as 3 or 1-5 or 1,4 (default 1-5)")
    arguments.add_argument("--seconds", type=float, default=60.0, help="of load for each seed (default 60)")
    arguments.add_argument("--rate", type=float, default=30.0, help="check-outs a second (default 30)")
    arguments.add_argument("--every", type=float, default=3.0, help="seconds between two blows (default 3)")
    arguments.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="of the shop"
    )
    arguments.add_argument("--quick", action="store_true", help="the first seed only, 16 s, a blow every 1.5 s")
    arguments.add_argument("--json", action="store_true", help="print JSON only")
    options = arguments.parse_args()
    if options.quick:
        options.seeds, options.seconds, options.every = options.seeds[:1], 16.0, 1.5
    results = []
    for seed in options.seeds:
        results.append(one_seed(seed, options))
        if not options.json:
            show(results[-1])
    lost_any = any(found["wrong"] for found in results)
    if options.json:
        print(json.dumps({"ok": not lost_any, "results": results}))
    else:
        print("NOT ok" if lost_any else "ok: nothing lost, nothing doubled")
    return int(lost_any)


if __name__ == "__main__":
    sys.exit(main())
