"""What the checker of invariants finds, on data that are made up: each invariant is kept once and broken once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cloudcart.events import Event, OrderCreated, OrderPaymentConfirmed, OrderStatusChanged, ProductStockChanged
from cloudcart.lab import invariants
from cloudcart.lab.invariants import Invariants, check_invariants, verdict_of


def created(order_id: int) -> Event:
    return OrderCreated(service="orders", order_id=order_id, user_id=7, total_amount=Decimal(5), items=())


def paid(order_id: int) -> Event:
    return OrderPaymentConfirmed(
        service="orders", order_id=order_id, user_id=7, payment_method="card", amount=Decimal(5)
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
            invariants._PAID: [(1,)],
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
