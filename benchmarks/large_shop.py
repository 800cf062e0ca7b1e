"""What 100,000 orders cost: how long a start on them takes, and whether lists of orders stay as fast as with a few.

    python benchmarks/large_shop.py [--quick] [--json]

The same shop is measured twice, with 1,000 orders and with 100,000, on data that are kept between starts (``cloudcart
up --data``). Orders are copied straight into PostgreSQL: 1,000 buyers, one of whom has 300 of the first orders and 2 %
of the others, one to three lines each. Each list is asked for through the gateway, one request at a time; the last
column is the large shop's median as a multiple of the small one's, for pages of as many orders.

Exits with 1 if a list was refused or its total is wrong. A time is for people to judge: a list may take at most twice
as long, which is printed as the aim. ``--json`` prints the figures with their aims as one JSON object, last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from checkout import quantile

import cloudcart
from cloudcart.lab import Lab
from cloudcart.services.http_client import HttpClient

FEW, MANY = 1_000, 100_000
BUYERS = 1_000
DEMO = 2  # the seeded user who can log in
STATUSES = {"delivered": 70, "shipped": 10, "confirmed": 8, "awaiting_payment": 6, "cancelled": 5, "returned": 1}
UNPAID = ("awaiting_payment", "cancelled")
AIM = 2.0  # times the small shop's median, at most


class Route(NamedTuple):
    """A list; ``{deep}`` is an offset three quarters into it, ``where`` says which orders are in it."""

    path: str
    where: str = "true"
    login: str = "admin"


ROUTES = (
    Route("/api/orders"),
    Route("/api/orders?offset={deep}"),
    Route("/api/orders?status=delivered", "status = 'delivered'"),
    Route("/api/orders?status=delivered&offset={deep}", "status = 'delivered'"),
    Route("/api/orders?status=returned&limit=5", "status = 'returned'"),
    Route(f"/api/orders?user_id={DEMO}", f"user_id = {DEMO}"),
    Route(f"/api/orders?user_id={DEMO}&status=shipped&limit=10", f"user_id = {DEMO} AND status = 'shipped'"),
    Route("/api/orders/my-orders", f"user_id = {DEMO}", "demo"),
    Route("/api/orders/my-orders?offset={deep}", f"user_id = {DEMO}", "demo"),
)


def fill(database: str, first: int, last: int) -> float:
    """Copy the orders ``first`` to ``last`` into a shop, and return how long it took."""
    began = time.perf_counter()
    rows = list(orders(first, last))
    with psycopg.connect(database, autocommit=True) as connection, connection.transaction():
        cursor = connection.cursor()
        for table, columns, values in (
            ("orders", "id, user_id, total_amount, status, created_at, updated_at", [row[:6] for row in rows]),
            ("order_items", "order_id, product_id, product_name, quantity, price", [i for row in rows for i in row[6]]),
            (
                "payments",
                "order_id, amount, payment_method",
                [(r[0], r[2], "card") for r in rows if r[3] not in UNPAID],
            ),
        ):
            with cursor.copy(f"COPY orders.{table} ({columns}) FROM STDIN") as copy:
                for value in values:
                    copy.write_row(value)
        cursor.execute("SELECT setval('orders.orders_id_seq', %s)", (last,))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE orders.orders, orders.order_items, orders.payments")  # as autovacuum would
    return time.perf_counter() - began


def orders(first: int, last: int) -> Any:
    """Yield orders as rows, the last field their lines; always the same ones."""
    chance = random.Random(first)
    statuses = chance.choices([*STATUSES], [*STATUSES.values()], k=last - first + 1)
    epoch = datetime.now(UTC) - timedelta(days=365)
    for number, status in zip(range(first, last + 1), statuses, strict=True):
        user = DEMO if chance.random() < (0.3 if number <= FEW else 0.02) else chance.randrange(3, BUYERS + 3)
        lines = [(number, chance.randrange(1, 25), "a thing", 1, Decimal("9.99")) for _ in range(chance.randint(1, 3))]
        placed = epoch + timedelta(seconds=number * 300)
        yield number, user, len(lines) * Decimal("9.99"), status, placed, placed, lines


async def time_route(lab: Lab, route: Route, total: int, requests: int) -> dict[str, float]:
    """Return p50 and p99 of one list in milliseconds, and how many answers were refusals or had another total."""
    client, seconds, errors = HttpClient(), [], 0
    headers = [(b"authorization", f"Bearer {lab.token(route.login)}".encode())]
    path = route.path.format(deep=total * 3 // 4)
    for _ in range(requests + 5):
        began = time.perf_counter()
        answer = await client.request("GET", lab.urls["gateway"], path, headers=headers, timeout=60)
        seconds.append(time.perf_counter() - began)
        errors += answer.status != 200 or dict(answer.headers)[b"x-total-count"] != b"%d" % total
    await client.aclose()
    ordered = sorted(seconds[5:])  # without those that open connections and plan statements
    return {
        "total": total,
        "p50_ms": quantile(ordered, 0.5) * 1e3,
        "p99_ms": quantile(ordered, 0.99) * 1e3,
        "errors": errors,
    }


def measure(lab: Lab, requests: int) -> dict[str, dict[str, float]]:
    """Return the figures of every list."""
    with psycopg.connect(lab.database_url) as connection:
        totals = [
            connection.execute(f"SELECT count(*) FROM orders.orders WHERE {route.where}").fetchone() for route in ROUTES
        ]
    return {
        route.path: asyncio.run(time_route(lab, route, total[0] if total else 0, requests))
        for route, total in zip(ROUTES, totals, strict=True)
    }


def run(directory: Path, starts: int, requests: int) -> dict[str, Any]:
    """Measure the small shop, then the large one."""
    found: dict[str, Any] = {}
    with start(directory) as lab:
        fill(lab.database_url, 1, FEW)
    for name, orders_there in (("small", FEW), ("large", MANY)):
        seconds = []
        for _ in range(starts - 1):
            with start(directory) as lab:
                seconds.append(lab.seconds)
        with start(directory) as lab:
            seconds.append(lab.seconds)
            found[name] = {
                "orders": orders_there,
                "start_seconds": statistics.median(seconds),
                "routes": measure(lab, requests),
            }
            if name == "small":
                found["fill_seconds"] = fill(lab.database_url, FEW + 1, MANY)
    return found


def start(directory: Path) -> Lab:
    overrides = {"gateway.rate_limit": "off"}
    return cloudcart.start(name="benchmark-large", data=directory, overrides=overrides, prometheus=False)


def show(found: dict[str, Any]) -> None:
    small, large = found["small"], found["large"]
    print(f"start with {FEW} orders {small['start_seconds']:.2f} s, with {MANY:,} {large['start_seconds']:.2f} s")
    print(f"(copying them in took {found['fill_seconds']:.1f} s)\n")
    print(f"{'':45} {'p50':>8} {'p99':>8}   {'p50':>8} {'p99':>8} ms   times")
    for path, few in small["routes"].items():
        many = large["routes"][path]
        print(
            f"{path:45} {few['p50_ms']:8.1f} {few['p99_ms']:8.1f}   {many['p50_ms']:8.1f} {many['p99_ms']:8.1f}"
            f"    {many['p50_ms'] / few['p50_ms']:6.2f}"
        )


def main() -> int:
    """Measure; exit code 1 if a list was refused or wrong. A time is for people to judge, on a machine they know."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="one start and 50 requests instead of 3 and 400")
    arguments.add_argument("--json", action="store_true", help="print the result as one JSON object, last")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="cloudcart-") as folder:
        Path(folder).chmod(0o711)  # root's PostgreSQL runs as nobody
        found = run(Path(folder) / "data", 1 if options.quick else 3, 50 if options.quick else 400)
    ratios = [
        found["large"]["routes"][path]["p50_ms"] / few["p50_ms"] for path, few in found["small"]["routes"].items()
    ]
    errors = sum(each["errors"] for name in ("small", "large") for each in found[name]["routes"].values())
    show(found)
    print(f"\nthe slowest list takes {max(ratios):.2f} times as long (aim: at most {AIM:g}); errors {errors} (aim: 0)")
    if options.json:
        aims = {"worst_times": AIM, "errors": 0}
        print(json.dumps({"ok": not errors, "aims": aims, "worst_times": max(ratios), "errors": errors, **found}))
    return int(errors > 0)


if __name__ == "__main__":
    sys.exit(main())
