"""How stock moves: taken for orders, given back, counted by administrators; all or none, never below zero.

Every move writes the ledger and publishes its events in the same transaction. What an order holds is kept, so that
taking is idempotent by order and giving back happens once. Used by the routes, the consumer and the sweeper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import prometheus_client

from cloudcart.events import Event, ProductLowStock, ProductStockChanged
from cloudcart.exceptions import RefusedError
from cloudcart.services.products import holds
from cloudcart.services.products.holds import Hold
from cloudcart.services.products.models import Line
from cloudcart.services.service import trace_id
from cloudcart.stores.database import Row, Session
from cloudcart.stores.outbox import Outbox, UnitOfWork
from cloudcart.telemetry.metrics import Telemetry

_LOCK: Final = "SELECT id FROM products WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
_MOVE: Final = """
WITH moved AS (
    UPDATE products SET stock = stock + change, updated_at = now()
    FROM unnest(%(ids)s::int[], %(changes)s::int[]) AS line (product_id, change)
    WHERE id = product_id AND stock + change >= 0
    RETURNING id, stock, change
), noted AS (
    INSERT INTO stock_ledger (product_id, change, reason, order_id)
    SELECT id, change, %(reason)s, %(order_id)s FROM moved
)
SELECT id, stock, change FROM moved ORDER BY id
"""
_SHORT: Final = """
SELECT line.product_id, name, stock FROM unnest(%s::int[], %s::int[]) AS line (product_id, quantity)
LEFT JOIN products ON id = line.product_id
WHERE id IS NULL OR stock < quantity
"""
_HOLD: Final = """
INSERT INTO stock_holds (order_id, epoch, state, product_ids, quantities) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_FIND: Final = "SELECT * FROM stock_holds WHERE order_id = %s FOR UPDATE"
_CHANGE: Final = "UPDATE stock_holds SET state = %s, epoch = %s, taken_at = now() WHERE order_id = %s"
_SOLD: Final = "UPDATE stock_holds SET state = 'sold' WHERE order_id = ANY(%s) AND state = 'taken'"
_COUNTED: Final = "SELECT stock FROM products WHERE id = %s FOR UPDATE"


class Stock:
    """The stock of all products.

    Args:
        outbox: of the product service.
        threshold: at or below this stock an alert is published.
        telemetry: where moves and alerts are counted.
    """

    def __init__(self, outbox: Outbox, threshold: int, telemetry: Telemetry) -> None:
        self._outbox = outbox
        self._threshold = threshold
        self._updates = prometheus_client.Counter(
            "product_stock_updates_total", "Changes of a stock.", ["reason"], registry=telemetry.registry
        )
        self._alerts = prometheus_client.Counter(
            "inventory_alerts_total", "Alerts of low stock.", ["severity"], registry=telemetry.registry
        )

    async def take(self, order_id: int, epoch: int, items: Sequence[Line]) -> None:
        """Take the stock of an order, all or none; doing so again changes nothing.

        Raises:
            RefusedError: 409, a product has too little stock or is gone, or this order may not take stock any more.
        """
        quantities = Counter[int]()
        for item in items:
            quantities[item.product_id] += item.quantity
        lines = dict(sorted(quantities.items()))
        async with self._outbox.unit_of_work() as work:
            hold = (order_id, epoch, Hold.TAKEN, list(lines), list(lines.values()))
            if await work.run(_HOLD, hold) or await self._decide_again(work, order_id, epoch):
                await self._remove(work, order_id, lines)
        self._count(work.events)

    async def confirm(self, session: Session, order_ids: list[int]) -> None:
        """Note that these orders were confirmed, so that their stock is not released."""
        await session.run(_SOLD, (order_ids,))

    async def close(self, work: UnitOfWork, order_id: int) -> None:
        """Give back what an order holds because it was cancelled or returned, and take nothing for it any more."""
        if await work.run(_HOLD, (order_id, 0, Hold.CLOSED, [], [])):
            return  # cancelled before anything was taken; a take that is late finds this
        held = await _held(work, order_id)
        await work.run(_CHANGE, (Hold.CLOSED, held["epoch"], order_id))
        if holds.close(Hold(held["state"])):
            await self._add(work, held, "restored")

    async def release(self, work: UnitOfWork, order_id: int, epoch: int) -> None:
        """Give back what attempts before ``epoch`` took for an order that was not confirmed."""
        held = await _held(work, order_id)
        if holds.release(Hold(held["state"]), held["epoch"], epoch):
            await work.run(_CHANGE, (Hold.RELEASED, held["epoch"], order_id))
            await self._add(work, held, "released")

    async def set(self, work: UnitOfWork, product_id: int, stock: int) -> None:
        """Make a product's stock what an administrator counted; 404 if there is no such product."""
        row = await work.row(_COUNTED, (product_id,))
        if row is None:
            raise RefusedError(404, "there is no such product")
        if row["stock"] != stock:
            await self._move(work, {product_id: stock - row["stock"]}, "admin")

    def count(self, work: UnitOfWork) -> None:
        """Count, after its commit, what ``work`` has moved."""
        self._count(work.events)

    async def _decide_again(self, work: UnitOfWork, order_id: int, epoch: int) -> bool:
        """Say whether stock is to be moved for an order that has a hold already."""
        held = await _held(work, order_id)
        taking = holds.take(Hold(held["state"]), held["epoch"], epoch)
        if taking.refusal:
            raise RefusedError(409, taking.refusal)
        if taking.moves or (held["state"] == Hold.TAKEN and epoch > held["epoch"]):
            await work.run(_CHANGE, (Hold.TAKEN, epoch, order_id))
        return taking.moves

    async def _remove(self, work: UnitOfWork, order_id: int, lines: dict[int, int]) -> None:
        if len(lines) > 1:
            await work.run(_LOCK, (list(lines),))  # in one order for everybody: no deadlock
        changes = {product_id: -quantity for product_id, quantity in lines.items()}
        if await self._move(work, changes, "sold", order_id) < len(lines):
            short = await work.rows(_SHORT, (list(lines), list(lines.values())))
            missing = [{"product_id": row["product_id"], "stock": row["stock"] or 0} for row in short]
            raise RefusedError(409, _shortage(short), missing=missing)

    async def _add(self, work: UnitOfWork, held: Row, reason: str) -> None:
        lines = dict(zip(held["product_ids"], held["quantities"], strict=True))
        await work.run(_LOCK, (list(lines),))
        await self._move(work, lines, reason, held["order_id"])

    async def _move(self, work: UnitOfWork, changes: dict[int, int], reason: str, order_id: int | None = None) -> int:
        """Change stocks, write the ledger, publish the events; return how many products were changed."""
        parameters = {
            "ids": list(changes),
            "changes": list(changes.values()),
            "reason": reason,
            "order_id": order_id,
        }
        rows = await work.rows(_MOVE, parameters)
        work.publish(*(event for row in rows for event in self._events(row, reason, order_id)))
        return len(rows)

    def _events(self, row: Row, reason: str, order_id: int | None) -> Iterator[Event]:
        trace, product_id, stock = trace_id(), row["id"], row["stock"]
        old = stock - row["change"]
        yield ProductStockChanged(
            service="products",
            trace_id=trace,
            product_id=product_id,
            old_stock=old,
            new_stock=stock,
            reason=reason,
            order_id=order_id,
        )
        if severity := severity_of(old, stock, self._threshold):
            yield ProductLowStock(
                service="products",
                trace_id=trace,
                product_id=product_id,
                stock=stock,
                threshold=self._threshold,
                severity=severity,
            )

    def _count(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, ProductStockChanged):
                self._updates.labels(event.reason).inc()
            elif isinstance(event, ProductLowStock):
                self._alerts.labels(event.severity).inc()


def severity_of(old: int, new: int, threshold: int) -> str:
    """Return the severity of the alert that a move of the stock sets off; empty for none.

    There is one alert when the threshold is crossed downwards, and another one when nothing is left.
    """
    if new == 0 < old:
        return "critical"
    return "warning" if new <= threshold < old else ""


async def _held(work: UnitOfWork, order_id: int) -> Row:
    row = await work.row(_FIND, (order_id,))
    assert row is not None, "a hold is never deleted but by a reset"
    return row


def _shortage(short: list[Row]) -> str:
    row = short[0] if short else {"name": None, "stock": 0, "product_id": 0}
    if row["name"] is None:
        return f"product {row['product_id']} is not sold any more"
    return f"not enough stock: of '{row['name']}' {row['stock']} are left"
