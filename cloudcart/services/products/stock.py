"""How stock moves: taken for orders, given back, counted by administrators; all or none, never below zero.

Every move writes the ledger and publishes its events in the same transaction. What an order holds is kept, so that
taking is idempotent by order and giving back happens once. Used by the routes, the consumer and the sweeper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import prometheus_client

from cloudcart.events import Event, ProductLowStock, ProductStockChanged
from cloudcart.exceptions import RefusedError
from cloudcart.services.products import holds
from cloudcart.services.products.holds import Hold
from cloudcart.services.products.models import Line
from cloudcart.services.products.unguarded import take_unguarded
from cloudcart.services.service import trace_id
from cloudcart.stores.database import Row, Session
from cloudcart.stores.outbox import Outbox, UnitOfWork
from cloudcart.telemetry.metrics import Telemetry

# Products are locked in the order of their ids, by everybody, so that no two moves wait for each other. A stock that
# would go below zero is not moved; whoever asked sees that there are fewer rows than lines.
_MOVING: Final = """
locked AS (
    SELECT id, change
    FROM products JOIN unnest(%(ids)s::int[], %(changes)s::int[]) AS line (product_id, change) ON id = product_id
    WHERE {condition} ORDER BY id FOR UPDATE OF products
), moved AS (
    UPDATE products SET stock = stock + change, updated_at = now() FROM locked
    WHERE products.id = locked.id AND stock + change >= 0
    RETURNING products.id, stock, change
), noted AS (
    INSERT INTO stock_ledger (product_id, change, reason, order_id)
    SELECT id, change, %(reason)s, %(order_id)s FROM moved
)
"""
_MOVE: Final = f"WITH {_MOVING.format(condition='true')} SELECT id, stock, change FROM moved ORDER BY id"  # noqa: S608
# What goes back to a product that was deleted meanwhile is noted all the same: the ledger says that the order holds
# nothing any more.
_GIVE_BACK: Final = f"""
WITH {_MOVING.format(condition="true")}, noted_only AS (
    INSERT INTO stock_ledger (product_id, change, reason, order_id)
    SELECT product_id, change, %(reason)s, %(order_id)s
    FROM unnest(%(ids)s::int[], %(changes)s::int[]) AS line (product_id, change)
    WHERE product_id NOT IN (SELECT id FROM locked)
)
SELECT id, stock, change FROM moved ORDER BY id
"""  # noqa: S608  # what is put in is a constant
_TAKE: Final = f"""
WITH held AS (
    INSERT INTO stock_holds (order_id, epoch, state, product_ids, quantities)
    VALUES (%(order_id)s, %(epoch)s, 'taken', %(ids)s, %(quantities)s) ON CONFLICT DO NOTHING RETURNING order_id
), {_MOVING.format(condition="EXISTS (SELECT FROM held)")}
SELECT id, stock, change, order_id FROM held LEFT JOIN moved ON true ORDER BY id
"""  # noqa: S608  # what is put in is a constant
_SHORT: Final = "SELECT id, name, stock FROM products WHERE id = ANY(%s) ORDER BY id"
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
        atomic: take stock in one statement; else the way it must not be done.
    """

    def __init__(self, outbox: Outbox, threshold: int, telemetry: Telemetry, *, atomic: bool = True) -> None:
        self._outbox = outbox
        self._atomic = atomic
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
        async with self._outbox.unit_of_work() as work:
            parameters = _parameters({each: -count for each, count in quantities.items()}, "sold", order_id)
            if self._atomic:
                rows = await work.rows(_TAKE, {**parameters, "epoch": epoch, "quantities": list(quantities.values())})
            else:
                rows = await self._take_unguarded(work, order_id, epoch, quantities)
            if not rows:  # this order has been here before
                if not await self._decide_again(work, order_id, epoch):
                    return
                rows = await work.rows(_MOVE, parameters)
            moved = [row for row in rows if row["id"] is not None]
            if short := sorted(quantities.keys() - {row["id"] for row in moved}):
                raise await _shortage(work, short)
            self._publish(work, moved, "sold", order_id)
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
            moved = await work.rows(_MOVE, _parameters({product_id: stock - row["stock"]}, "admin", None))
            self._publish(work, moved, "admin", None)

    def count(self, work: UnitOfWork) -> None:
        """Count, after its commit, what ``work`` has moved."""
        self._count(work.events)

    async def _take_unguarded(
        self, work: UnitOfWork, order_id: int, epoch: int, quantities: Mapping[int, int]
    ) -> list[Row]:
        hold = (order_id, epoch, Hold.TAKEN, list(quantities), list(quantities.values()))
        return await take_unguarded(work, order_id, quantities) if await work.run(_HOLD, hold) else []

    async def _decide_again(self, work: UnitOfWork, order_id: int, epoch: int) -> bool:
        """Say whether stock is to be moved for an order that has a hold already."""
        held = await _held(work, order_id)
        taking = holds.take(Hold(held["state"]), held["epoch"], epoch)
        if taking.refusal:
            raise RefusedError(409, taking.refusal)
        if taking.moves or (held["state"] == Hold.TAKEN and epoch > held["epoch"]):
            await work.run(_CHANGE, (Hold.TAKEN, epoch, order_id))
        return taking.moves

    async def _add(self, work: UnitOfWork, held: Row, reason: str) -> None:
        order_id, changes = held["order_id"], dict(zip(held["product_ids"], held["quantities"], strict=True))
        moved = await work.rows(_GIVE_BACK, _parameters(changes, reason, order_id))
        self._publish(work, moved, reason, order_id)

    def _publish(self, work: UnitOfWork, moved: list[Row], reason: str, order_id: int | None) -> None:
        work.publish(*(event for row in moved for event in self._events(row, reason, order_id)))

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


def _parameters(changes: Mapping[int, int], reason: str, order_id: int | None) -> dict[str, object]:
    return {"ids": list(changes), "changes": list(changes.values()), "reason": reason, "order_id": order_id}


async def _shortage(work: UnitOfWork, short: list[int]) -> RefusedError:
    """Return the refusal of an order that asks for more than there is of the products ``short``."""
    known = {row["id"]: row for row in await work.rows(_SHORT, (short,))}
    missing = [{"product_id": each, "stock": known[each]["stock"] if each in known else 0} for each in short]
    for each in short:
        if each not in known:
            return RefusedError(409, f"product {each} is not sold any more", missing=missing)
    first = known[short[0]]
    return RefusedError(409, f"not enough stock: of '{first['name']}' {first['stock']} are left", missing=missing)
