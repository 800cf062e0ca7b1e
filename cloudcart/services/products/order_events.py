"""What the product service hears of orders: confirmed ones keep their stock, cancelled and returned ones give it back.

Driven by the events ``order.status_changed``, so that stock comes back even if this service was away meanwhile, exactly
once in effect; and by a sweep for stock whose order was never confirmed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

from cloudcart.events import OrderStatusChanged, decode
from cloudcart.services.products.stock import Stock
from cloudcart.stores.consumer import ConsumerMetrics, Record
from cloudcart.stores.database import Database
from cloudcart.stores.inbox import admit
from cloudcart.stores.outbox import Outbox, UnitOfWork

TOPICS: Final = (OrderStatusChanged.topic,)

Settle = Callable[[list[int]], Awaitable[dict[int, dict[str, Any]]]]
"""Asks the order service about orders: it gives up their unfinished confirmations and says, by order id, their status
and epoch. Orders that it does not know are not in the answer."""

_OLD: Final = """
SELECT order_id, epoch FROM stock_holds WHERE state = 'taken' AND taken_at < now() - make_interval(secs => %s)
ORDER BY taken_at LIMIT 100
"""
_GIVEN_BACK: Final = frozenset({"cancelled", "returned"})
_UNCONFIRMED: Final = frozenset({"awaiting_payment", "unknown"})
_LOG: Final = logging.getLogger(__name__)


class OrderEvents:
    """Applies what happened to orders to the stock that they hold.

    Args:
        database: the product service's own.
        outbox: of the product service.
        stock: moves stock.
        consumed: counts the events.
    """

    def __init__(self, database: Database, outbox: Outbox, stock: Stock, consumed: ConsumerMetrics) -> None:
        self._database = database
        self._outbox = outbox
        self._stock = stock
        self._consumed = consumed.events

    async def handle(self, records: Sequence[Record]) -> None:
        """Handle messages of the topic ``order.status_changed``."""
        events = list(_readable(records))
        closing = [event for event in events if event.new_status in _GIVEN_BACK]
        keeping = [event for event in events if event.new_status not in _GIVEN_BACK]
        if keeping:
            async with self._database.transaction() as session:
                fresh = await admit(session, keeping)
                await self._stock.confirm(session, [event.order_id for event in fresh])
            self._count(keeping, fresh)
        for event in closing:  # one by one: together they could lock products in another order than a sale does
            async with self._outbox.unit_of_work() as work:
                if fresh := await admit(work, [event]):
                    await self._stock.close(work, event.order_id)
            self._stock.count(work)
            self._count([event], fresh)
        self._consumed.labels(OrderStatusChanged.topic, "unreadable").inc(len(records) - len(events))

    async def sweep(self, older_than: float, settle: Settle) -> int:
        """Release stock that was taken over ``older_than`` seconds ago for orders that were not confirmed.

        Returns:
            How many orders were looked at.
        """
        async with self._database.session() as session:
            held = await session.rows(_OLD, (older_than,))
        if not held:
            return 0
        answers = await settle([row["order_id"] for row in held])
        for row in held:
            order_id, epoch = row["order_id"], row["epoch"]
            answer = answers.get(order_id, {"status": "unknown", "epoch": epoch + 1})
            async with self._outbox.unit_of_work() as work:
                await self._apply(work, order_id, answer["status"], answer["epoch"])
            self._stock.count(work)
        return len(held)

    def _count(self, events: Sequence[OrderStatusChanged], fresh: Sequence[OrderStatusChanged]) -> None:
        self._consumed.labels(OrderStatusChanged.topic, "handled").inc(len(fresh))
        self._consumed.labels(OrderStatusChanged.topic, "ignored").inc(len(events) - len(fresh))

    async def _apply(self, work: UnitOfWork, order_id: int, status: str, epoch: int) -> None:
        if status in _GIVEN_BACK:
            await self._stock.close(work, order_id)
        elif status in _UNCONFIRMED:
            await self._stock.release(work, order_id, epoch)
        else:
            await self._stock.confirm(work, [order_id])


def _readable(records: Sequence[Record]) -> Iterator[OrderStatusChanged]:
    """Yield the events that can be read; the worker puts the others on the dead-letter topic."""
    for record in records:
        try:
            event = decode(record.topic, record.value or b"")
        except ValueError as error:
            _LOG.warning("a message on %s cannot be read: %s", record.topic, error)
            continue
        if isinstance(event, OrderStatusChanged):
            yield event
