"""The catalogue: finding, adding, changing and deleting products, and the seed.

The routes call it; it knows the tables and no HTTP. Stock is moved by ``services.products.stock`` alone, and what lists
were found is kept by ``services.products.shared_lists``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, LiteralString

from pydantic_core import to_json

from cloudcart.exceptions import RefusedError, StoreError
from cloudcart.services.answers import Page, list_json
from cloudcart.services.lists import Listing, Lists
from cloudcart.services.products.models import PRODUCT_LIST, NewProduct, ProductChange
from cloudcart.services.products.seed import SEED
from cloudcart.services.products.shared_lists import ListPage, SharedLists
from cloudcart.services.products.stock import Stock
from cloudcart.stores.database import Database, Row, Session
from cloudcart.stores.inbox import MOVE_WATERMARK
from cloudcart.stores.outbox import Outbox

CountOpenOrders = Callable[[int], Awaitable[int]]
"""Says how many open orders have a product."""

# By whether a category, and whether a text is looked for: a statement for all would use no index.
_FILTERS: Final[Mapping[tuple[bool, bool], LiteralString]] = {
    (False, False): "",
    (True, False): "WHERE category = %(category)s",
    (False, True): "WHERE (name ILIKE %(pattern)s OR description ILIKE %(pattern)s)",
    (True, True): "WHERE category = %(category)s AND (name ILIKE %(pattern)s OR description ILIKE %(pattern)s)",
}
_LISTS: Final = {
    filters: Listing(
        f"SELECT * FROM products {where} ORDER BY id LIMIT %(limit)s OFFSET %(offset)s",  # noqa: S608  # a constant
        f"SELECT count(*) AS total FROM (SELECT FROM products {where} LIMIT %(most)s) AS counted",  # noqa: S608
    )
    for filters, where in _FILTERS.items()
}
_GET: Final = "SELECT * FROM products WHERE id = %s"
_INSERT: Final = """
INSERT INTO products (name, description, price, stock, category, image_url) VALUES (%s, %s, %s, 0, %s, %s) RETURNING *
"""
_SEED: Final = """
WITH seeded AS (
    INSERT INTO products (name, description, price, stock, category, image_url)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::numeric[], %s::int[], %s::text[], %s::text[])
    RETURNING id, stock
)
INSERT INTO stock_ledger (product_id, change, reason) SELECT id, stock, 'initial' FROM seeded
"""
_UPDATE: Final = """
UPDATE products SET name = coalesce(%s, name), description = coalesce(%s, description), price = coalesce(%s, price),
    category = coalesce(%s, category), image_url = coalesce(%s, image_url), updated_at = now()
WHERE id = %s
RETURNING *
"""
_LOCK: Final = "SELECT id FROM products WHERE id = %s FOR UPDATE"
_DELETE: Final = "DELETE FROM products WHERE id = %s"
_LOOKUP: Final = "SELECT id, name, price FROM products WHERE id = ANY(%s)"
_LOW: Final = "SELECT count(*) AS low FROM products WHERE stock <= %s"
_EMPTY: Final = "TRUNCATE stock_holds, products, stock_ledger, outbox, inbox, inbox_watermark RESTART IDENTITY"
_SEED_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('seed'), hashtext(current_schema()))"
_ANY: Final = "SELECT 1 AS found FROM products LIMIT 1"


class Catalogue:
    """The products of the shop.

    Args:
        database: the product service's own.
        outbox: of the product service.
        stock: moves stock.
        open_orders: asked before a product is deleted.
        shared: keeps pages of lists; None where that is switched off.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        stock: Stock,
        open_orders: CountOpenOrders,
        shared: SharedLists | None = None,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._stock = stock
        self._open_orders = open_orders
        self._shared = shared
        self._lists = Lists()

    async def page(self, page: Page, category: str | None, search: str | None) -> ListPage:
        """Return one page of the products that match."""
        wanted = {"category": category, "pattern": f"%{_literal(search or '')}%"}

        async def read() -> ListPage:
            async with self._database.session() as session:
                listing = _LISTS[category is not None, bool(search)]
                rows, total = await self._lists.page(session, listing, wanted, page)
            return ListPage(list_json(PRODUCT_LIST, rows), total)

        if self._shared is None:
            return await read()
        return await self._shared.page(to_json([category, search or "", *page]).decode(), read)

    async def get(self, product_id: int) -> Row:
        """Return a product, or 404."""
        async with self._database.session() as session:
            return _found(await session.row(_GET, (product_id,)))

    async def lookup(self, ids: list[int]) -> list[Row]:
        """Return id, name and price of those of ``ids`` that exist."""
        async with self._database.session() as session:
            return await session.rows(_LOOKUP, (ids,))

    async def create(self, new: NewProduct) -> Row:
        """Add a product and return it."""
        async with self._outbox.unit_of_work() as work:
            row = await work.row(_INSERT, (new.name, new.description, new.price, new.category, new.image_url))
            assert row is not None
            await self._stock.set(work, row["id"], new.stock)
        self._stock.count(work)
        await self._changed()
        return row | {"stock": new.stock}

    async def update(self, product_id: int, change: ProductChange) -> Row:
        """Change what ``change`` has and return the product; 404."""
        fields = (change.name, change.description, change.price, change.category, change.image_url, product_id)
        async with self._outbox.unit_of_work() as work:
            if change.stock is not None:
                await self._stock.set(work, product_id, change.stock)
            row = _found(await work.row(_UPDATE, fields))
        self._stock.count(work)
        await self._changed()
        return row

    async def set_stock(self, product_id: int, stock: int) -> Row:
        """Make a product's stock what was counted, and return the product; 404."""
        return await self.update(product_id, ProductChange(stock=stock))

    async def delete(self, product_id: int) -> None:
        """Delete a product; 404, or 409 while open orders have it.

        Orders are asked while the product is locked: who has taken its stock is among them, and who comes later waits
        and then finds it gone.
        """
        async with self._database.transaction() as session:
            _found(await session.row(_LOCK, (product_id,)))
            if count := await self._open_orders(product_id):
                text = f"open orders ({count}) have this product; set its stock to 0 to stop selling it"
                raise RefusedError(409, text)
            await session.run(_DELETE, (product_id,))
        await self._changed()

    async def count_low(self, threshold: int) -> int:
        """Return how many products have this stock or less."""
        async with self._database.session() as session:
            row = await session.row(_LOW, (threshold,))
        return row["low"] if row else 0

    async def seed(self) -> None:
        """Fill an empty catalogue."""
        async with self._database.transaction() as session:
            await session.run(_SEED_LOCK)
            if await session.row(_ANY) is not None:
                return
            await _add_seed(session)
        await self._changed()

    async def reset(self) -> None:
        """Be as at the first start (lab only)."""
        async with self._database.transaction() as session:
            await session.run(_EMPTY)
            await session.run(MOVE_WATERMARK)
            await _add_seed(session)
        await self._changed()

    async def _changed(self) -> None:
        """Let nobody see an old list any more, who made the change least of all.

        While Redis is away lists are read from the tables. Should it come back with old ones, the event of a changed
        stock ends them; another change shows when they have been kept for their time.
        """
        if self._shared is not None:
            with suppress(StoreError):
                await self._shared.expire()


async def _add_seed(session: Session) -> None:
    await session.run(_SEED, tuple(map(list, zip(*SEED, strict=True))))


def _literal(text: str) -> str:
    """Return ``text`` for LIKE, with the signs that mean something there escaped."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _found(row: Row | None) -> Row:
    if row is None:
        raise RefusedError(404, "there is no such product")
    return row
