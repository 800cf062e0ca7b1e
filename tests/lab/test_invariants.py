"""What the checker of invariants finds: each is kept once and broken once, on data that are made up.

What a statement must find by itself is broken in the database of a lab, on which the statement runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from cloudcart.events import Event, OrderCreated, OrderPaymentConfirmed, OrderStatusChanged, ProductStockChanged
from cloudcart.lab import Lab, invariants
from cloudcart.lab.invariants import Invariants, check_invariants, verdict_of


def created(order_id: int) -> Event:
    return OrderCreated(service="orders", order_id=order_id, user_id=7, total_amount=Decimal(5), items=())


def paid(order_id: int, amount: int = 5) -> Event:
    return OrderPaymentConfirmed(
        service="orders", order_id=order_id, user_id=7, payment_method="card", amount=Decimal(amount)
    )


def moved(order_id: int, old: str, new: str) -> Event:
    return OrderStatusChanged(
        service="orders", order_id=order_id, user_id=7, old_status=old, new_status=new, message="so"
    )


def stock(old: int, new: int) -> Event:
    return ProductStockChanged(service="products", product_id=1, old_stock=old, new_stock=new, reason="sold")


class Data:
    """Tables of a shop with one product, of whose 9 pieces one was sold by the one order; all was told and handled."""

    def __init__(self) -> None:
        self.events = [created(1), paid(1), moved(1, "awaiting_payment", "confirmed"), stock(9, 8)]
        self.handled: list[Event] | None = None
        self.tables: dict[str, list[tuple[Any, ...]]] = {
            invariants._WAITING: [(0,)],
            invariants._WATERMARK: [(None,)],
            invariants._STATUSES: [(1, "confirmed")],
            invariants._PAID: [(1, Decimal(5))],
            invariants._FIRST_STOCKS: [(1, 9)],
            invariants._LAST_STOCKS: [(1, 8)],
        }

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        if statement in (invariants._HANDLED, invariants._APPLIED):
            return [(event.event_id,) for event in (self.events if self.handled is None else self.handled)]
        return self.tables.get(statement, [])

    def check(self) -> dict[str, str]:
        """Return what is broken."""
        results = check_invariants(self.query, lambda: self.events)
        return {result.name: result.detail for result in results if result.verdict != "pass"}


@pytest.fixture
def data(monkeypatch) -> Data:
    monkeypatch.setattr(invariants, "_QUIET_DEADLINE", 0.1)
    return Data()


CHANGES = "every change has one event, in order"
PAID = "every paid order was paid once"
ACKNOWLEDGED = "every acknowledged order exists"
HANDLED = "every event was handled once"


def test_a_shop_as_it_should_be(data):
    assert data.check() == {}


def test_an_event_may_be_delivered_again_and_late(data):
    first = data.events[2]
    data.events += [stock(8, 7), first]
    data.tables[invariants._LAST_STOCKS] = [(1, 7)]
    assert data.check() == {}


@pytest.mark.parametrize(
    ("missing", "said"),
    [(0, "order 1 has 0"), (1, "payment of order 1 has 0"), (2, "by its events awaiting"), (3, "by its events 9")],
)
def test_a_missing_event_is_found(data, missing, said):
    del data.events[missing]
    assert said in data.check()[CHANGES]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (created(1), "order 1 has 2"),
        (paid(1), "payment of order 1 has 2"),
        (moved(1, "awaiting_payment", "confirmed"), "went from awaiting_payment, but was confirmed"),
        (stock(9, 8), "went from a stock of 9, but had 8"),
        (created(2), "order 2, which does not exist"),
    ],
)
def test_an_event_that_is_made_twice_or_up_is_found(data, more, said):
    data.events.append(more)
    assert said in data.check()[CHANGES]


def test_a_payment_of_an_order_that_was_never_confirmed_is_found(data):
    data.events[2] = moved(1, "awaiting_payment", "cancelled")
    data.tables[invariants._STATUSES] = [(1, "cancelled")]
    assert data.check() == {CHANGES: "order 1 was paid 1 times and became confirmed 0 times"}


def test_a_confirmation_without_a_payment_is_found(data):
    del data.events[1]
    data.tables[invariants._PAID] = []
    assert data.check() == {CHANGES: "order 1 was paid 0 times and became confirmed 1 times"}


def test_a_payment_of_another_amount_than_its_event_is_found(data):
    data.events[1] = paid(1, amount=6)
    assert data.check() == {CHANGES: "payment of order 1 is 5, by its event 6"}


def test_an_order_that_is_cancelled_after_it_was_paid_keeps_its_payment(data):
    data.events.append(moved(1, "confirmed", "cancelled"))
    data.tables[invariants._STATUSES] = [(1, "cancelled")]
    assert data.check() == {}


def test_an_acknowledged_order_that_is_not_there_is_found(data):
    data.tables[invariants._ACKNOWLEDGED] = [(2, "a notification")]
    assert data.check() == {ACKNOWLEDGED: "order 2 was acknowledged by a notification and does not exist"}


def test_events_that_the_broker_has_dropped_leave_it_undecided(data):
    del data.events[:2]
    results = check_invariants(data.query, lambda: data.events, lambda: True)
    assert verdict_of(results) == "inconclusive"


def test_an_event_that_nobody_handled_is_found(data):
    data.handled = data.events[1:]
    assert "was published and not handled" in data.check()[HANDLED]


def test_an_event_that_was_told_twice_is_found(data):
    data.tables[invariants._TOLD_AGAIN] = [("event-1", 2)]
    assert data.check()[HANDLED] == "event event-1 was told 2 times"


def test_an_event_that_is_never_published_leaves_it_undecided(data):
    data.tables[invariants._WAITING] = [(3,)]
    results = check_invariants(data.query, lambda: data.events)
    found = Invariants(results)
    assert (found.verdict, found.passed) == ("inconclusive", False)
    assert found.explain() == "inconclusive quiet: 3 events waited in an outbox long after the load had ended"


def test_what_is_published_while_one_looks_is_waited_for(data):
    """Between the looks at the outboxes and at the topics, an event may have been handled and another written."""
    late, looks = data.events.pop(), []

    def published() -> list[Event]:
        looks.append(len(data.events))
        if len(looks) == 2:
            data.events.append(late)
        return list(data.events)

    results = check_invariants(data.query, published)
    assert verdict_of(results) == "pass", results


class Shopper:
    """A shopper of a lab with a shop that was emptied; ``check`` says what is broken in it since."""

    def __init__(self, lab: Lab, client: httpx.Client, database: psycopg.Connection, tap: Any) -> None:
        self._lab, self._client, self._tap = lab, client, tap
        self.database = database

    def order(self, *moves: str) -> int:
        """Order by a key, let it move so, and return its id."""
        line = {"product_id": 1, "quantity": 1}
        answer = self._client.post("/api/orders", json={"items": [line]}, headers={"idempotency-key": "one"})
        order = int(answer.raise_for_status().json()["id"])
        for move in moves:
            if move == "pay":
                answer = self._client.post(f"/api/orders/{order}/pay", json={"payment_method": "card"})
            else:
                answer = self._client.patch(f"/api/orders/{order}/status", json={"status": move})
            answer.raise_for_status()
        return order

    def check(self) -> dict[str, str]:
        results = self._lab.check_invariants(self._tap)
        return {result.name: result.detail for result in results if result.verdict != "pass"}


@pytest.fixture
def shopper(lab: Lab) -> Iterator[Shopper]:
    lab.reset()
    headers = {"authorization": f"Bearer {lab.token('admin')}"}
    with (
        lab.tap_events() as tap,
        psycopg.connect(lab.database_url, autocommit=True) as database,
        httpx.Client(base_url=lab.urls["gateway"], headers=headers, timeout=30) as client,
    ):
        yield Shopper(lab, client, database, tap)
    lab.reset()


@pytest.mark.parametrize(
    "moves", [(), ("pay",), ("confirmed", "shipped"), ("pay", "cancelled"), ("cancelled",)], ids=" ".join
)
def test_a_real_shop_in_use_keeps_them(shopper, moves):
    shopper.order(*moves)
    assert shopper.check() == {}


@pytest.mark.parametrize(
    ("forgotten", "teller"),
    [("orders.idempotency_keys", "a notification"), ("notifications.notifications", "the answer to a request")],
)
def test_an_order_that_was_lost_is_found_by_what_a_client_was_told(shopper, forgotten, teller):
    order = shopper.order()
    assert shopper.check() == {}  # so the notification is there
    shopper.database.execute("DELETE FROM orders.orders WHERE id = %s", [order])
    shopper.database.execute(f"DELETE FROM {forgotten}")
    assert shopper.check()[ACKNOWLEDGED] == f"order {order} was acknowledged by {teller} and does not exist"


def test_a_wrong_payment_of_a_cancelled_order_is_found(shopper):
    order = shopper.order("pay", "cancelled")
    shopper.database.execute("UPDATE orders.payments SET amount = amount + 1")
    assert f"order {order} is cancelled, its total" in shopper.check()[PAID]


def test_a_payment_that_nobody_made_is_found(shopper):
    order = shopper.order("cancelled")
    shopper.database.execute(
        "INSERT INTO orders.payments (order_id, amount, payment_method) SELECT id, total_amount, 'card' "
        "FROM orders.orders WHERE id = %s",
        [order],
    )
    assert f"order {order} was paid 1 times and became confirmed 0 times" in shopper.check()[CHANGES]


def test_a_payment_that_was_lost_is_found(shopper):
    order = shopper.order("pay", "cancelled")
    shopper.database.execute("DELETE FROM orders.payments")
    assert f"order {order} was paid 0 times and became confirmed 1 times" in shopper.check()[CHANGES]
