"""Lists of orders when there are many: true totals and links, pages in order, and an index for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from cloudcart.services.lists import EXACT
from cloudcart.services.orders.ordering import LISTS

MANY = 12_000  # more than are counted for each request
STATUSES = ("delivered", "shipped", "cancelled", "returned")


@pytest.fixture
def many(admin_sql: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """The schema of the order service with many orders: user n % 100, one line each."""
    admin_sql.execute("SET search_path = orders")
    admin_sql.execute(
        "INSERT INTO orders (user_id, total_amount, status) "
        "SELECT n %% 100 + 1, n, (%s::text[])[n %% 4 + 1] FROM generate_series(1, %s) AS n",
        ([*STATUSES], MANY),
    )
    admin_sql.execute(
        "INSERT INTO order_items (order_id, product_id, product_name, quantity, price) "
        "SELECT id, 1, 'a pen', 1, total_amount FROM orders"
    )
    admin_sql.execute("VACUUM ANALYZE orders, order_items")
    yield admin_sql
    admin_sql.execute("RESET search_path")


@pytest.mark.parametrize("offset", [0, MANY // 2])
@pytest.mark.parametrize("filters", LISTS)
def test_every_list_is_read_by_indexes(many: psycopg.Connection[Any], filters: tuple[bool, bool], offset: int) -> None:
    parameters = {"user_id": 7, "status": "shipped", "limit": 50, "offset": offset, "most": EXACT}
    listing = LISTS[filters]
    statements = listing if any(filters) else [listing.rows]  # all orders are counted as they come, up to a limit
    for statement in statements:
        generic = statement % {"user_id": "$1", "status": "$2", "limit": "$3", "offset": "$4", "most": "$3"}
        for explain in (f"EXPLAIN {statement}", f"EXPLAIN (GENERIC_PLAN) {generic}"):  # planned for these, or for any
            plan = str(many.execute(explain.encode(), parameters if explain.endswith(statement) else None).fetchall())
            assert "Seq Scan" not in plan, plan


def test_totals_links_and_order_hold_deep_in_the_list(start_shop: Any, many: psycopg.Connection[Any]) -> None:
    async def main() -> None:
        async with start_shop("orders") as shop:

            async def page(query: str, user: int = 0) -> tuple[list[int], int, str]:
                path = "/orders/my-orders" if user else "/orders"
                answer = await shop.orders.get(f"{path}?{query}", headers=shop.bearer(user) if user else shop.admin)
                assert answer.status_code == 200, answer.text
                ids = [order["id"] for order in answer.json()]
                return ids, int(answer.headers["x-total-count"]), answer.headers.get("link", "")

            ids, total, links = await page("limit=3&offset=9000")
            assert (ids, total) == ([3000, 2999, 2998], MANY)
            assert '<?limit=3&offset=11997>; rel="last"' in links
            assert await page("limit=3&offset=12000") == (
                [],
                MANY,
                '<?limit=3&offset=0>; rel="first", <?limit=3&offset=11997>; rel="prev"',
            )
            ids, total, links = await page("status=shipped&limit=2&offset=2998")
            assert (ids, total) == ([5, 1], MANY // 4)
            assert "status=shipped&limit=2" in links
            assert (await page("user_id=8&status=delivered&limit=1"))[1] == 0
            assert (await page("user_id=8&status=returned&limit=1"))[:2] == ([11907], MANY // 100)
            assert (await page("limit=2", user=8))[:2] == ([11907, 11807], MANY // 100)
            answer = await shop.orders.get("/orders?limit=1", headers=shop.admin)
            assert [item["product_name"] for item in answer.json()[0]["items"]] == ["a pen"]

    asyncio.run(main())
