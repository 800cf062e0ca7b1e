"""Orders moving through their life: paid, confirmed by hand, cancelled, shipped, delivered, returned.

The rules are in ``services.orders.states``. Stock is taken before an order is confirmed, by a call that is idempotent
by order; the confirmation is one transaction, guarded by status and epoch, so that whatever dies in between leaves an
order that can be paid again, or stock that the product service's sweep finds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Final

from cloudcart.events import Event, OrderPaymentConfirmed, OrderStatusChanged
from cloudcart.exceptions import AnsweredMeanwhileError, RefusedError
from cloudcart.services.orders.idempotency import Answer, RequestKey
from cloudcart.services.orders.metrics import OrderMetrics
from cloudcart.services.orders.models import Order
from cloudcart.services.orders.notifying import Notifier
from cloudcart.services.orders.ordering import WITH_ITEMS, Ordering
from cloudcart.services.orders.products_client import ProductsClient
from cloudcart.services.orders.states import Status, check_move, message
from cloudcart.services.service import trace_id
from cloudcart.stores.database import Database, Row
from cloudcart.stores.outbox import PUBLISH, Outbox

_CONFIRM: Final = f"""
WITH confirmed AS (
    UPDATE orders SET status = 'confirmed', updated_at = now()
    WHERE id = %(id)s AND status = 'awaiting_payment' AND epoch = %(epoch)s
    RETURNING *
), payment AS (
    INSERT INTO payments (order_id, amount, payment_method) SELECT id, total_amount, %(method)s FROM confirmed
), published AS ({PUBLISH} WHERE EXISTS (SELECT FROM confirmed))
SELECT confirmed.*, %(items)s::json AS items FROM confirmed
"""  # noqa: S608  # what is put in is a constant
_CHARGE_AGAIN: Final = "UPDATE payments SET amount = amount + %s WHERE order_id = %s"
_STATUS: Final = "SELECT status FROM orders WHERE id = %s FOR UPDATE"
_MOVE: Final = f"""
WITH orders AS (UPDATE orders SET status = %s, updated_at = now() WHERE id = %s RETURNING *) {WITH_ITEMS} FROM orders
"""  # noqa: S608  # what is put in is a constant
_GIVE_UP: Final = """
WITH given_up AS (
    UPDATE orders SET epoch = epoch + 1 WHERE id = ANY(%(ids)s) AND status = 'awaiting_payment' RETURNING id, epoch
)
SELECT orders.id AS order_id, status, coalesce(given_up.epoch, orders.epoch) AS epoch
FROM orders LEFT JOIN given_up USING (id) WHERE orders.id = ANY(%(ids)s)
"""
_BY_HAND: Final = "manual"


class Moving:
    """Moves orders.

    Args:
        database: the order service's own.
        outbox: of the order service.
        ordering: shows orders.
        products: takes stock.
        notifier: tells the worker directly, where the settings want that.
        metrics: of the order service.
        charge_once: recognise a payment that is sent again; else it charges again.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        ordering: Ordering,
        products: ProductsClient,
        notifier: Notifier,
        metrics: OrderMetrics,
        *,
        charge_once: bool = True,
    ) -> None:
        self._charge_once = charge_once
        self._database = database
        self._outbox = outbox
        self._ordering = ordering
        self._products = products
        self._notifier = notifier
        self._metrics = metrics

    async def pay(self, order: Row, method: str, key: RequestKey) -> Answer:
        """Charge for an order once and confirm it; the same key gives the same answer.

        Raises:
            RefusedError: 409, not payable any more, or too little stock; 502, 503 or 504, the product service does not
                answer. Nothing was charged.
        """
        begun = time.perf_counter()
        try:
            if not self._charge_once and order["status"] == Status.CONFIRMED:
                return await self._charge_again(order)
            if earlier := await key.earlier_answer(self._database):
                return earlier
            return await self._confirm(order, method, key)
        except RefusedError as refusal:
            self._metrics.payment_refused(refusal.status)
            raise
        except AnsweredMeanwhileError:
            earlier = await key.earlier_answer(self._database)
            assert earlier is not None, "the other request has committed, or this one would still wait for it"
            return earlier
        finally:
            self._metrics.payment_seconds.observe(time.perf_counter() - begun)

    async def move(self, order: Row, new: Status, user_id: int) -> Answer:
        """Move an order that the caller may move.

        Raises:
            RefusedError: 409, there is no such move; and as :meth:`pay` for a confirmation.
        """
        check_move(Status(order["status"]), new)
        if new is Status.CONFIRMED:
            return await self._confirm(order, _BY_HAND, RequestKey.of(user_id, "", None, ""))
        async with self._outbox.unit_of_work() as work:
            locked = await work.row(_STATUS, (order["id"],))
            old = Status(locked["status"] if locked else order["status"])
            check_move(old, new)  # again, now that nobody else can move it
            row = await work.row(_MOVE, (new, order["id"]))
            assert row is not None, "orders are never deleted but by a reset"
            work.publish(_status_changed(row, old, new))
        await self._done(work.events)
        return _answer(row)

    async def give_up(self, order_ids: list[int]) -> list[Row]:
        """End unfinished confirmations of these orders, and return status and epoch of those that exist."""
        async with self._database.session(writes=True) as session:
            return await session.rows(_GIVE_UP, {"ids": order_ids})

    async def _confirm(self, order: Row, method: str, key: RequestKey) -> Answer:
        _check_payable(order)
        items = [{"product_id": item["product_id"], "quantity": item["quantity"]} for item in order["items"]]
        await self._products.take_stock(order["id"], order["epoch"], items)
        events = _confirmation(order, method)
        parameters = {"id": order["id"], "epoch": order["epoch"], "method": method, "items": json.dumps(order["items"])}
        async with key.scope(self._database) as session:
            row = await session.row(_CONFIRM, parameters | self._outbox.parameters(events))
            if row is not None:
                answer = _answer(row)
                await key.keep(session, answer)
        if row is None:  # look only now: who waits for a second connection must not hold a first one
            if earlier := await key.earlier_answer(self._database):
                return earlier  # the same payment came twice at the same time
            raise await self._refusal(order["id"])
        await self._outbox.committed(events)
        await self._done(events)
        return answer

    async def _charge_again(self, order: Row) -> Answer:
        async with self._database.session(writes=True) as session:
            await session.run(_CHARGE_AGAIN, (order["total_amount"], order["id"]))
        return _answer(order)

    async def _refusal(self, order_id: int) -> RefusedError:
        """Return why an order that could be paid a moment ago cannot now."""
        try:
            _check_payable(await self._ordering.get(order_id))
        except RefusedError as refusal:
            return refusal
        return RefusedError(503, "the payment took too long and was given up; nothing was charged", retry_after=1)

    async def _done(self, events: Sequence[Event]) -> None:
        self._metrics.count(events)
        await self._notifier.tell(events)


def _check_payable(order: Row) -> None:
    status = Status(order["status"])
    if status is not Status.AWAITING_PAYMENT:
        paid = status is not Status.CANCELLED
        raise RefusedError(409, "this order is paid already" if paid else "this order was cancelled; order again")


def _answer(row: Row) -> Answer:
    return Answer(200, Order.model_validate(row).model_dump_json().encode())


def _confirmation(order: Row, method: str) -> list[Event]:
    """Return the events of an order's confirmation, which are known before it: an order's total never changes."""
    paid = OrderPaymentConfirmed(
        service="orders",
        trace_id=trace_id(),
        order_id=order["id"],
        user_id=order["user_id"],
        payment_method=method,
        amount=order["total_amount"],
    )
    return [paid, _status_changed(order, Status.AWAITING_PAYMENT, Status.CONFIRMED)]


def _status_changed(row: Row, old: Status, new: Status) -> OrderStatusChanged:
    return OrderStatusChanged(
        service="orders",
        trace_id=trace_id(),
        order_id=row["id"],
        user_id=row["user_id"],
        old_status=old,
        new_status=new,
        message=message(new),
    )
