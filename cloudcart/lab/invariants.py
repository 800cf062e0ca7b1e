"""What must be true of the shop's data at any quiet moment, whatever went wrong before; checked, never assumed.

Reads the tables of all services as the database's administrator, and the events that were published. A quiet moment is
one in which no event waits: it is waited for, and without one the answer is inconclusive. Called at the end of a run.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, LiteralString, NamedTuple

from cloudcart.events import Event, OrderCreated, OrderPaymentConfirmed, OrderStatusChanged, ProductStockChanged

_QUIET_DEADLINE: Final = 15.0  # seconds in which nothing moves
_LONGEST_WAIT: Final = 60.0  # seconds in all
_POLL: Final = 0.05
_SHOWN: Final = 3  # violations named in a sentence

Query = Callable[[LiteralString], list[tuple[Any, ...]]]
"""Runs a statement and returns its rows."""


class InvariantResult(NamedTuple):
    """One invariant: ``verdict`` is pass, fail or inconclusive; ``detail`` says what was found."""

    name: str
    verdict: str
    detail: str


_CHANGES: Final = "every change has one event, in order"
_DROPPED: Final = InvariantResult(_CHANGES, "inconclusive", "the broker has dropped some events before they were read")
_OLDER: Final = InvariantResult(
    _CHANGES, "inconclusive", "the data are older than this lab's broker and its events; 'cloudcart reset' empties them"
)


class Invariants(NamedTuple):
    """What a check of all of them came to, for an assertion."""

    results: Sequence[InvariantResult]

    @property
    def verdict(self) -> str:
        """One that fails fails them, one that is inconclusive leaves them so."""
        return verdict_of(self.results)

    @property
    def passed(self) -> bool:
        """Whether all hold."""
        return self.verdict == "pass"

    def explain(self) -> str:
        """Return a line for each, with what was found."""
        return "\n".join(f"{each.verdict:<12} {each.name}: {each.detail}" for each in self.results)


_STOCK: Final = """
SELECT product.id, product.stock, coalesce(sum(ledger.change), 0)
FROM products.products product LEFT JOIN products.stock_ledger ledger ON ledger.product_id = product.id
GROUP BY product.id, product.stock HAVING product.stock < 0 OR product.stock <> coalesce(sum(ledger.change), 0)
"""
_SOLD: Final = """
SELECT item.order_id, item.product_id, item.wanted, coalesce(-sold.change, 0)
FROM (
    SELECT order_id, product_id, CASE WHEN status IN ('confirmed', 'shipped', 'delivered') THEN sum(quantity) ELSE 0 END
        AS wanted
    FROM orders.order_items JOIN orders.orders ON orders.orders.id = order_id GROUP BY order_id, product_id, status
) item LEFT JOIN (
    SELECT order_id, product_id, sum(change) AS change FROM products.stock_ledger
    WHERE order_id IS NOT NULL GROUP BY order_id, product_id
) sold USING (order_id, product_id)
WHERE item.wanted <> coalesce(-sold.change, 0)
    AND NOT EXISTS (  -- taken for a payment under way or given up: the sweeper decides, so it is not quiet yet
        SELECT FROM products.stock_holds hold WHERE hold.order_id = item.order_id AND hold.state = 'taken'
            AND item.wanted = 0
    )
"""
_PAYMENTS: Final = """
SELECT orders.id, orders.status, orders.total_amount, payment.amount
FROM orders.orders orders LEFT JOIN orders.payments payment ON payment.order_id = orders.id
WHERE (orders.status IN ('confirmed', 'shipped', 'delivered', 'returned')
        AND payment.amount IS DISTINCT FROM orders.total_amount)
   OR (orders.status = 'awaiting_payment' AND payment.amount IS NOT NULL)
   OR (orders.status = 'cancelled' AND payment.amount <> orders.total_amount)  -- after it was paid
"""
# A key's answer is kept in the transaction of its order, and a notification follows its event: both were told a client.
_ACKNOWLEDGED: Final = """
SELECT told.order_id, told.teller FROM (
    SELECT (answer::json ->> 'id')::int AS order_id, 'the answer to a request' AS teller
    FROM orders.idempotency_keys WHERE operation = 'create' AND status = 201
    UNION SELECT (details ->> 'order_id')::int, 'a notification'
    FROM notifications.notifications WHERE starts_with(event_type, 'order.')
) told WHERE NOT EXISTS (SELECT FROM orders.orders WHERE orders.id = told.order_id) ORDER BY 1, 2
"""
_STATUSES: Final = "SELECT id, status FROM orders.orders"
_PAID: Final = "SELECT order_id, amount FROM orders.payments"
_FIRST_STOCKS: Final = "SELECT product_id, change FROM products.stock_ledger WHERE reason = 'initial'"
_LAST_STOCKS: Final = """
SELECT product.id, coalesce(sum(ledger.change), 0)::int
FROM products.products product LEFT JOIN products.stock_ledger ledger ON ledger.product_id = product.id
GROUP BY product.id
"""
_HANDLED: Final = "SELECT event_id FROM notifications.inbox"
_TOLD_AGAIN: Final = "SELECT event_id, count(*) FROM notifications.notifications GROUP BY event_id HAVING count(*) > 1"
_APPLIED: Final = "SELECT event_id FROM products.inbox"  # moves of orders, which give stock back
_WATERMARK: Final = "SELECT max(at) FROM notifications.inbox_watermark"
_WAITING: Final = """
SELECT (SELECT count(*) FROM users.outbox) + (SELECT count(*) FROM products.outbox)
    + (SELECT count(*) FROM orders.outbox)
"""


def check_invariants(
    query: Query,
    published: Callable[[], Sequence[Event]],
    incomplete: Callable[[], bool] = lambda: False,
    *,
    data_older_than: float | None = None,
) -> list[InvariantResult]:
    """Wait for a quiet moment and check every invariant.

    Args:
        query: runs a statement as the database's administrator.
        published: returns all events that were published since the shop was last reset.
        incomplete: says whether some of them are not known any more.
        data_older_than: when the broker began (unix seconds), if the data had been there before and have a history
            that it does not know.
    """
    if waiting := _wait_until_quiet(query, published):
        return [InvariantResult("quiet", "inconclusive", f"{waiting} long after the load had ended")]
    events = _once(query, published())
    return [
        _result(
            "stock adds up", _stock(query), "initial stock and every change of it come to the stock, never below zero"
        ),
        _result("every paid order was paid once", _payments(query), "each has one payment of its total"),
        _result("every acknowledged order exists", _acknowledged(query), "each that a client was told of is there"),
        _compared(query, events, incomplete, data_older_than),
        _result("every event was handled once", _handled(query, events), "the worker missed none and told none twice"),
    ]


def verdict_of(results: Iterable[InvariantResult]) -> str:
    """Return the verdict on all: one that fails fails them, one that is inconclusive leaves them so."""
    verdicts = {result.verdict for result in results}
    return next((verdict for verdict in ("fail", "inconclusive") if verdict in verdicts), "pass")


def _result(name: str, violations: Iterable[str], detail: str) -> InvariantResult:
    found = list(violations)
    if not found:
        return InvariantResult(name, "pass", detail)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return InvariantResult(name, "fail", "; ".join(found[:_SHOWN]) + more)


def _wait_until_quiet(query: Query, published: Callable[[], Sequence[Event]]) -> str:
    """Return what is still under way; empty as soon as nothing is, or when what is left does not move any more.

    An event that nobody has handled and that stays so is lost, which is for the invariants to say; one that is only
    late is neither lost nor handled yet. One look is not enough: while it is taken, the last event may be handled and
    a new one written. So nothing is under way when a second look finds nothing either, and no further event.
    """
    end = time.monotonic() + _LONGEST_WAIT
    deadline, least, seen = time.monotonic() + _QUIET_DEADLINE, math.inf, -1
    while True:
        waiting = query(_WAITING)[0][0]
        events = published()
        left = waiting or _behind(query, _once(query, events))
        if not left and len(events) == seen:
            return ""
        seen = -1 if left else len(events)
        now = time.monotonic()
        if left < least:
            deadline, least = now + _QUIET_DEADLINE, left
        if waiting and now > deadline:
            return f"{waiting} events waited in an outbox"
        if now > end:
            return f"{left} events were still on their way"
        if now > deadline:
            return ""
        time.sleep(_POLL if left else 0.0)


def _behind(query: Query, events: Sequence[Event]) -> int:
    """Return how many events their consumers have yet to handle."""
    applied = {event_id for (event_id,) in query(_APPLIED)}
    moves = [event for event in events if isinstance(event, OrderStatusChanged)]
    return len(_unhandled(query, events)) + sum(event.event_id not in applied for event in moves)


def _once(query: Query, events: Sequence[Event]) -> list[Event]:
    """Return the events since the last reset, each where it came first: delivery is at least once."""
    watermark = query(_WATERMARK)[0][0]
    known: dict[object, Event] = {}
    for event in events:
        if watermark is None or event.occurred_at >= watermark:
            known.setdefault(event.event_id, event)
    return list(known.values())


def _stock(query: Query) -> Iterable[str]:
    for product, stock, sum_of_changes in query(_STOCK):
        yield f"product {product} has a stock of {stock}, its changes come to {sum_of_changes}"
    for order, product, wanted, sold in query(_SOLD):
        yield f"order {order} holds {sold} of product {product}, should hold {wanted}"


def _payments(query: Query) -> Iterable[str]:
    for order, status, total, paid in query(_PAYMENTS):
        yield f"order {order} is {status}, its total {total}, paid {paid if paid is not None else 'nothing'}"


def _acknowledged(query: Query) -> Iterable[str]:
    for order, teller in query(_ACKNOWLEDGED):
        yield f"order {order} was acknowledged by {teller} and does not exist"


def _changes(query: Query, events: Sequence[Event]) -> Iterable[str]:
    """Compare what was committed with what was published of it."""
    placed = [order for order, _ in query(_STATUSES)]
    yield from _announced("order", placed, (each.order_id for each in events if isinstance(each, OrderCreated)))
    yield from _charges(query, events)
    yield from _life_cycles(query, events)
    yield from _stock_levels(query, events)


def _compared(
    query: Query, events: Sequence[Event], incomplete: Callable[[], bool], data_older_than: float | None
) -> InvariantResult:
    [(reset,)] = query(_WATERMARK)
    if data_older_than is not None and (reset is None or reset.timestamp() < data_older_than):
        return _OLDER
    return _DROPPED if incomplete() else _result(_CHANGES, _changes(query, events), f"{len(events)} events")


def _announced(what: str, committed: Sequence[int], announced: Iterable[int]) -> Iterable[str]:
    count = Counter(announced)
    for each in committed:
        if count[each] != 1:
            yield f"{what} {each} has {count[each]} events that say so"
    for each in count.keys() - set(committed):
        yield f"there is an event of {what} {each}, which does not exist"


def _charges(query: Query, events: Sequence[Event]) -> Iterable[str]:
    """Hold each payment against its event, and against its order's becoming confirmed: neither is without the other.

    An administrator's confirmation by hand is a payment, too, and no order becomes confirmed twice.
    """
    paid: dict[int, Decimal] = dict(query(_PAID))
    told = [event for event in events if isinstance(event, OrderPaymentConfirmed)]
    yield from _announced("payment of order", [*paid], (event.order_id for event in told))
    for event in told:
        if event.amount != paid.get(event.order_id, event.amount):
            yield f"payment of order {event.order_id} is {paid[event.order_id]}, by its event {event.amount}"
    confirmed = Counter(
        event.order_id for event in events if isinstance(event, OrderStatusChanged) and event.new_status == "confirmed"
    )
    for order in sorted(confirmed.keys() | paid.keys()):
        if confirmed[order] != (order in paid):
            yield f"order {order} was paid {int(order in paid)} times and became confirmed {confirmed[order]} times"


def _life_cycles(query: Query, events: Sequence[Event]) -> Iterable[str]:
    """Follow each order through its events: they must form a chain without gaps that ends at its status."""
    status_after = dict.fromkeys((order for order, _ in query(_STATUSES)), "awaiting_payment")
    for event in events:
        if isinstance(event, OrderStatusChanged):
            before = status_after.get(event.order_id)
            if event.old_status != before:
                yield f"order {event.order_id} went from {event.old_status}, but was {before}"
            status_after[event.order_id] = event.new_status
    for order, status in query(_STATUSES):
        if status_after.get(order) != status:
            yield f"order {order} is {status}, by its events {status_after.get(order)}"


def _stock_levels(query: Query, events: Sequence[Event]) -> Iterable[str]:
    """Follow each product's stock through its events, likewise; a new product begins with none."""
    stock_after: dict[int, int] = dict(query(_FIRST_STOCKS))
    for event in events:
        if isinstance(event, ProductStockChanged):
            before = stock_after.get(event.product_id, 0)
            if event.old_stock != before:
                yield f"product {event.product_id} went from a stock of {event.old_stock}, but had {before}"
            stock_after[event.product_id] = event.new_stock
    for product, stock in query(_LAST_STOCKS):
        if stock_after.get(product, 0) != stock:
            yield f"product {product} should have a stock of {stock}, by its events {stock_after.get(product, 0)}"


def _handled(query: Query, events: Sequence[Event]) -> Iterable[str]:
    for event in _unhandled(query, events):
        yield f"{event.topic} {event.event_id} was published and not handled"
    for event_id, times in query(_TOLD_AGAIN):
        yield f"event {event_id} was told {times} times"


def _unhandled(query: Query, events: Sequence[Event]) -> list[Event]:
    handled = {event_id for (event_id,) in query(_HANDLED)}
    return [event for event in events if event.event_id not in handled]
