"""How stock must not be taken: read it, decide, write what should be left. Two buyers then get the same last item.

Used by ``services.products.stock``, where the right way is, if ``products.atomic_stock`` is off: a workshop can then
watch a shop sell what it has not got.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cloudcart.stores.database import Row
from cloudcart.stores.outbox import UnitOfWork

_READ: Final = "SELECT id, stock FROM products WHERE id = ANY(%s)"
_WRITE: Final = """
WITH written AS (
    UPDATE products SET stock = line.stock, updated_at = now()
    FROM unnest(%(ids)s::int[], %(stocks)s::int[], %(changes)s::int[]) AS line (id, stock, change)
    WHERE products.id = line.id
    RETURNING products.id, products.stock, line.change
), noted AS (
    INSERT INTO stock_ledger (product_id, change, reason, order_id) SELECT id, change, 'sold', %(order_id)s FROM written
)
SELECT id, stock, change FROM written ORDER BY id
"""


async def take_unguarded(work: UnitOfWork, order_id: int, quantities: Mapping[int, int]) -> list[Row]:
    """Take the stock of an order and return the products moved; one of which too little seems to be left is not."""
    seen = {row["id"]: row["stock"] for row in await work.rows(_READ, (list(quantities),))}
    left = {each: seen[each] - count for each, count in quantities.items() if seen.get(each, 0) >= count}
    changes = [-quantities[each] for each in left]
    lines = {"ids": list(left), "stocks": list(left.values()), "changes": changes, "order_id": order_id}
    return await work.rows(_WRITE, lines)
