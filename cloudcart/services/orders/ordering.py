"""Orders coming into being and being looked at.

The routes call it. Prices come from the catalogue, never from the client; no stock is taken yet. Not here: what becomes
of an order later (``services.orders.moving``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, LiteralString

from cloudcart.events import OrderCreated, OrderLine
from cloudcart.exceptions import AnsweredMeanwhileError, RefusedError
from cloudcart.services.answers import Page
from cloudcart.services.lists import Listing, Lists
from cloudcart.services.orders.idempotency import Answer, RequestKey
from cloudcart.services.orders.metrics import OrderMetrics
from cloudcart.services.orders.models import NewLine, NewOrder, Order
from cloudcart.services.orders.notifying import Notifier
from cloudcart.services.orders.products_client import Priced, ProductsClient
from cloudcart.services.orders.states import OPEN
from cloudcart.services.service import trace_id
from cloudcart.stores.database import Database, Row
from cloudcart.stores.outbox import PUBLISH, Outbox

_LARGEST_TOTAL: Final = Decimal("99999999.99")  # of the column

_INSERT: Final = f"""
WITH placed AS (
    INSERT INTO orders (id, user_id, total_amount) VALUES (%(id)s, %(user_id)s, %(total)s) RETURNING *
), lines AS (
    INSERT INTO order_items (order_id, product_id, product_name, quantity, price)
    SELECT placed.id, line.* FROM placed, unnest(
        %(product_ids)s::int[], %(names)s::text[], %(quantities)s::int[], %(prices)s::numeric[]
    ) AS line
    RETURNING *
), published AS ({PUBLISH})
SELECT placed.*, (SELECT json_agg(lines ORDER BY lines.id) FROM lines) AS items FROM placed
"""  # noqa: S608  # what is put in is a constant
_NEXT_IDS: Final = "SELECT nextval('orders_id_seq')::int AS id FROM generate_series(1, 50)"
WITH_ITEMS: Final = """
SELECT orders.*, (
    SELECT json_agg(item ORDER BY item.id) FROM order_items AS item WHERE item.order_id = orders.id
) AS items
"""
_BY_ID: Final = f"{WITH_ITEMS} FROM orders WHERE id = %s"
# A pair of statements for each combination of filters, since no plan of a statement for all would use each index.
# The page is found among the ids alone, in an index: what is skipped is neither read nor put together.
_FILTERS: Final[Mapping[tuple[bool, bool], LiteralString]] = {
    (False, False): "",
    (True, False): "WHERE user_id = %(user_id)s",
    (False, True): "WHERE status = %(status)s",
    (True, True): "WHERE user_id = %(user_id)s AND status = %(status)s",
}
_PAGE: Final = "SELECT id FROM orders {where} ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s"
LISTS: Final = {
    filters: Listing(
        f"{WITH_ITEMS} FROM orders WHERE id = ANY(ARRAY({_PAGE.format(where=where)})) ORDER BY id DESC",
        f"SELECT count(*) AS total FROM (SELECT FROM orders {where} LIMIT %(most)s) AS counted",  # noqa: S608
    )
    for filters, where in _FILTERS.items()
}
"""Lists of orders, by whether they are of one user, and of one status."""
_COUNT_OPEN: Final = """
SELECT count(DISTINCT orders.id) AS total FROM orders JOIN order_items ON order_id = orders.id
WHERE product_id = %s AND status = ANY(%s)
"""
_BY_STATUS: Final = "SELECT status, count(*) AS total FROM orders GROUP BY status"
# Ids go on counting after a reset: an event of an order that is gone can then never meet another order.
_EMPTY: Final = "TRUNCATE idempotency_keys, orders, order_items, payments, outbox"


class Ordering:
    """Accepts and shows orders.

    Args:
        database: the order service's own.
        outbox: of the order service.
        products: the product service.
        notifier: tells the worker directly, where the settings want that.
        metrics: of the order service.
    """

    def __init__(
        self, database: Database, outbox: Outbox, products: ProductsClient, notifier: Notifier, metrics: OrderMetrics
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._products = products
        self._notifier = notifier
        self._metrics = metrics
        self._ids = deque[int]()
        self._lists = Lists()

    async def create(self, user_id: int, new: NewOrder, key: RequestKey) -> Answer:
        """Accept an order; the same key and body give the same order.

        Raises:
            RefusedError: 422, an unknown product or too large a sum; 502, 503 or 504, the product service does not
                answer.
        """
        if earlier := await key.earlier_answer(self._database):
            return earlier
        priced = await self._products.prices([line.product_id for line in new.items])
        total = _total(new.items, priced)
        try:
            return await self._insert(user_id, new.items, priced, total, key)
        except AnsweredMeanwhileError:
            earlier = await key.earlier_answer(self._database)
            assert earlier is not None, "the other request has committed, or this one would still wait for it"
            return earlier

    async def get(self, order_id: int) -> Row:
        """Return an order, or 404."""
        async with self._database.session() as session:
            row = await session.row(_BY_ID, (order_id,))
        if row is None:
            raise RefusedError(404, "there is no such order")
        return row

    async def page(self, page: Page, user_id: int | None, status: str | None) -> tuple[list[Row], int]:
        """Return one page of the orders that match, newest first, and how many match in all."""
        wanted = {"user_id": user_id, "status": status}
        async with self._database.session() as session:
            return await self._lists.page(session, LISTS[user_id is not None, status is not None], wanted, page)

    async def count_open(self, product_id: int) -> int:
        """Return how many open orders have a product."""
        async with self._database.session() as session:
            row = await session.row(_COUNT_OPEN, (product_id, [*map(str, OPEN)]))
        return row["total"] if row else 0

    async def count_by_status(self) -> dict[str, int]:
        """Return how many orders have each status."""
        async with self._database.session() as session:
            return {row["status"]: row["total"] for row in await session.rows(_BY_STATUS)}

    async def reset(self) -> None:
        """Forget all orders (lab only)."""
        async with self._database.session(writes=True) as session:
            await session.run(_EMPTY)

    async def _insert(
        self, user_id: int, lines: Sequence[NewLine], priced: Mapping[int, Priced], total: Decimal, key: RequestKey
    ) -> Answer:
        names = [priced[line.product_id].name for line in lines]
        prices = [priced[line.product_id].price for line in lines]
        created = OrderCreated(
            service="orders",
            trace_id=trace_id(),
            order_id=await self._next_id(),
            user_id=user_id,
            total_amount=total,
            items=tuple(
                OrderLine(product_id=line.product_id, product_name=name, quantity=line.quantity, price=price)
                for line, name, price in zip(lines, names, prices, strict=True)
            ),
        )
        parameters = {
            "id": created.order_id,
            "user_id": user_id,
            "total": total,
            "product_ids": [line.product_id for line in lines],
            "names": names,
            "quantities": [line.quantity for line in lines],
            "prices": prices,
        }
        async with key.scope(self._database) as session:
            row = await session.row(_INSERT, parameters | self._outbox.parameters([created]))
            assert row is not None
            answer = Answer(201, Order.model_validate(row).model_dump_json().encode())
            await key.keep(session, answer)
        await self._outbox.committed([created])
        self._metrics.count([created])
        await self._notifier.tell([created])
        return answer

    async def _next_id(self) -> int:
        """Return an id that no other order has. They are fetched in blocks; the event needs one before the order is."""
        while not self._ids:
            async with self._database.session() as session:
                self._ids.extend(row["id"] for row in await session.rows(_NEXT_IDS))
        return self._ids.popleft()


def _total(lines: Sequence[NewLine], priced: Mapping[int, Priced]) -> Decimal:
    """Return the sum of all lines.

    Raises:
        RefusedError: 422, an unknown product, or a sum that no order may have.
    """
    total = Decimal(0)
    for number, line in enumerate(lines):
        product = priced.get(line.product_id)
        if product is None:
            field = f"items.{number}.product_id"
            error = f"there is no product {line.product_id}"
            raise RefusedError(422, f"{field}: {error}", errors=[{"field": field, "message": error}])
        total += product.price * line.quantity
    if total > _LARGEST_TOTAL:
        raise RefusedError(422, f"items: an order may cost {_LARGEST_TOTAL} at most; split it")
    return total
