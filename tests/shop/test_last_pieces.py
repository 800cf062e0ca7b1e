"""Two hundred buyers at the same time want the last fifty pieces: fifty get one, and everybody is told the truth.

Repeated, because a race that is lost once in ten times is a defect, too: ``CLOUDCART_REPEATS=20`` in continuous
integration. A buyer whom a busy machine kept waiting too long (503, 504) asks again with the same key.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import Any

import psycopg
import pytest

from cloudcart.lab import Lab
from cloudcart.services.http_client import HttpClient, Response

REPEATS = int(os.environ.get("CLOUDCART_REPEATS", "5"))
BUYERS = 200
PATIENCE = 120.0  # seconds
PAUSE = (0.2, 2.0)  # seconds before one asks again, from and to
TOO_BUSY = (503, 504)
PIECES = 50


@pytest.fixture(scope="module")
def buyers(new_users) -> list[Any]:
    return list(new_users(BUYERS))


async def post_all(base: str, calls: Iterable[tuple[Any, str, object]]) -> list[Response]:
    """Send all at the same time and return the answers; a call is who, where below ``/api``, and what."""
    client = HttpClient()

    async def post(caller: Any, path: str, body: object) -> Response:
        headers = [(b"authorization", f"Bearer {caller.token}".encode()), (b"content-type", b"application/json")]
        headers.append((b"idempotency-key", secrets.token_hex(8).encode()))
        content = json.dumps(body).encode()
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await client.request("POST", base, f"/api{path}", headers=headers, body=content, timeout=60)
                if answer.status not in TOO_BUSY:
                    return answer
                await asyncio.sleep(random.uniform(*PAUSE))

    try:
        return await asyncio.gather(*(post(*call) for call in calls))
    finally:
        await client.aclose()


def sold_of(lab: Lab, product: int) -> tuple[int, int]:
    """Return how many orders of a product are confirmed, and how many payments there are for its orders."""
    with psycopg.connect(lab.database_url) as database:
        row = database.execute(
            """
            SELECT count(*) FILTER (WHERE status = 'confirmed'), count(payments.id)
            FROM orders.order_items JOIN orders.orders ON orders.id = order_items.order_id
            LEFT JOIN orders.payments ON payments.order_id = orders.id WHERE product_id = %s
            """,
            [product],
        ).fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_fifty_are_sold_and_the_others_are_told_so(lab, buyers, nobody, new_product, attempt):
    product, base = new_product(stock=PIECES)["id"], lab.urls["gateway"]
    wish = {"items": [{"product_id": product, "quantity": 1}]}
    ordered = asyncio.run(post_all(base, [(buyer, "/orders", wish) for buyer in buyers]))
    assert Counter(answer.status for answer in ordered) == {201: BUYERS}
    orders = [answer.json()["id"] for answer in ordered]
    pay = {"payment_method": "card"}
    payments = [(buyer, f"/orders/{order}/pay", pay) for buyer, order in zip(buyers, orders, strict=True)]
    paid = asyncio.run(post_all(base, payments))
    assert Counter(answer.status for answer in paid) == {200: PIECES, 409: BUYERS - PIECES}
    assert all(answer.json()["missing"] for answer in paid if answer.status == 409)
    assert nobody("GET", f"/products/{product}").json()["stock"] == 0
    assert sold_of(lab, product) == (PIECES, PIECES)
