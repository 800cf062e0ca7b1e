"""The shop against a model of it: any sequence of what users and administrators do, over HTTP, then the invariants.

``CLOUDCART_EXAMPLES=500 pytest tests/shop/test_life_of_orders.py`` looks longer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cloudcart.lab import Lab
from cloudcart.lab.event_tap import EventTap

EXAMPLES = int(os.environ.get("CLOUDCART_EXAMPLES", "8"))
MOVES = {
    "awaiting_payment": {"confirmed", "cancelled"},
    "confirmed": {"shipped", "cancelled"},
    "shipped": {"delivered", "returned"},
    "delivered": {"returned"},
    "cancelled": set(),
    "returned": set(),
}
GIVEN_BACK = {"cancelled", "returned"}
PRODUCTS = 3
USERS = 2

picks = st.integers(0, 1000)
quantities = st.integers(1, 4)


@dataclass
class Ordered:
    """What the model knows of an order."""

    buyer: int
    lines: list[tuple[int, int]]
    status: str = "awaiting_payment"
    key: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    answer: bytes = b""
    receipt: bytes = b""


class Shop(RuleBasedStateMachine):
    """The real shop beside its model. Stock that is given back comes by an event: then the model knows bounds only."""

    lab: ClassVar[Lab]
    tap: ClassVar[EventTap]
    nobody: ClassVar[Any]
    admin: ClassVar[Any]
    new_users: ClassVar[Any]
    new_product: ClassVar[Any]
    registration: ClassVar[Any]
    wait_for: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[int, Ordered] = {}
        self.keys = 0

    @initialize(stocks=st.lists(st.integers(0, 8), min_size=PRODUCTS, max_size=PRODUCTS))
    def open(self, stocks: list[int]) -> None:
        self.users = self.new_users(USERS)
        self.products = [self.new_product(stock=stock)["id"] for stock in stocks]
        self.stock = dict(zip(self.products, stocks, strict=True))
        self.returning = dict.fromkeys(self.products, 0)  # on its way back, by an event

    @rule()
    def register(self) -> None:
        body = self.registration()
        answer = self.nobody("POST", "/auth/register", json=body)
        assert answer.status_code == 201
        assert self.nobody("POST", "/auth/register", json=body).status_code == 409
        self.users.append(replace(self.nobody, token=answer.json()["token"], user_id=answer.json()["user"]["id"]))

    @rule(buyer=picks, lines=st.lists(st.tuples(st.integers(0, PRODUCTS - 1), quantities), min_size=1, max_size=3))
    def order(self, buyer: int, lines: list[tuple[int, int]]) -> None:
        self.keys += 1
        chosen = [(self.products[number], quantity) for number, quantity in lines]
        body = {"items": [{"product_id": product, "quantity": quantity} for product, quantity in chosen]}
        made = Ordered(buyer % len(self.users), chosen, key=f"key-{self.keys}", body=body)
        answer = self.users[made.buyer]("POST", "/orders", {"idempotency-key": made.key}, json=body)
        assert answer.status_code == 201, answer.text
        made.answer = answer.content
        assert answer.json()["total_amount"] == sum(quantity for _, quantity in lines) * 2.5
        self.orders[answer.json()["id"]] = made

    @precondition(lambda self: self.orders)
    @rule(which=picks)
    def order_again_by_key(self, which: int) -> None:
        _, known = self.pick(which)
        answer = self.users[known.buyer]("POST", "/orders", {"idempotency-key": known.key}, json=known.body)
        assert (answer.status_code, answer.content) == (201, known.answer)

    @precondition(lambda self: self.orders)
    @rule(which=picks, payer=picks, with_key=st.booleans())
    def pay(self, which: int, payer: int, with_key: bool) -> None:
        order_id, known = self.pick(which)
        payer = payer % len(self.users) if payer % 4 == 0 else known.buyer
        headers = {"idempotency-key": f"pay-{order_id}"} if with_key else {}
        answer = self.users[payer]("POST", f"/orders/{order_id}/pay", headers, json={"payment_method": "card"})
        if payer != known.buyer:
            assert answer.status_code == 404
        elif with_key and known.receipt:
            assert (answer.status_code, answer.content) == (200, known.receipt)
        else:
            self.confirmed(order_id, known, answer)
            if with_key and answer.status_code == 200:
                known.receipt = answer.content

    @precondition(lambda self: self.orders)
    @rule(which=picks, status=st.sampled_from(sorted(MOVES)), by_owner=st.booleans())
    def move(self, which: int, status: str, by_owner: bool) -> None:
        order_id, known = self.pick(which)
        caller = self.users[known.buyer] if by_owner else self.admin
        answer = caller("PATCH", f"/orders/{order_id}/status", json={"status": status})
        if by_owner and status != "cancelled":
            assert answer.status_code == 403
        elif status not in MOVES[known.status]:
            assert answer.status_code == 409, answer.text
        elif status == "confirmed":
            self.confirmed(order_id, known, answer)
        else:
            assert answer.json()["status"] == status
            if status in GIVEN_BACK and known.status != "awaiting_payment":
                for product, quantity in known.lines:
                    self.returning[product] += quantity
            known.status = status

    @rule(number=st.integers(0, PRODUCTS - 1), stock=st.integers(0, 12))
    def count_stock(self, number: int, stock: int) -> None:
        product = self.products[number]
        self.wait_for(lambda: self.stock_of(product) == self.stock[product] + self.returning[product])
        answer = self.admin("PATCH", f"/products/{product}/stock", json={"stock": stock})
        assert answer.json()["stock"] == stock
        self.stock[product], self.returning[product] = stock, 0

    def confirmed(self, order_id: int, known: Ordered, answer: Any) -> None:
        """Check the answer to a payment or a confirmation by hand, and follow it."""
        if known.status != "awaiting_payment":
            assert answer.status_code == 409
            return
        wanted = dict.fromkeys((product for product, _ in known.lines), 0)
        for product, quantity in known.lines:
            wanted[product] += quantity
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 409:
            assert any(self.stock[product] < quantity for product, quantity in wanted.items()), "there was enough"
            assert "missing" in answer.json()
            return
        for product, quantity in wanted.items():
            assert quantity <= self.stock[product] + self.returning[product], "more was sold than there was"
            self.stock[product] -= quantity
        known.status = "confirmed"

    def stock_of(self, product: int) -> int:
        """Return the stock that the shop shows."""
        return int(self.admin("GET", f"/products/{product}").json()["stock"])

    def pick(self, which: int) -> tuple[int, Ordered]:
        """Return one of the orders."""
        order_id = sorted(self.orders)[which % len(self.orders)]
        return order_id, self.orders[order_id]

    def teardown(self) -> None:
        """Wait until all is quiet and compare everything."""
        results = self.lab.check_invariants(self.tap)
        assert [result for result in results if result.verdict != "pass"] == []
        for order_id, known in self.orders.items():
            assert self.admin("GET", f"/orders/{order_id}").json()["status"] == known.status
        for product in getattr(self, "products", ()):
            assert self.stock_of(product) == self.stock[product] + self.returning[product]


@pytest.fixture
def machine(lab, nobody, admin, new_users, new_product, registration, wait_for) -> Iterator[type[Shop]]:
    """The machine on this lab, which begins as after its start."""
    lab.reset()
    with lab.tap_events() as tap:
        parts = {"lab": lab, "tap": tap, "nobody": nobody, "admin": admin, "new_users": staticmethod(new_users)}
        functions = {"new_product": new_product, "registration": registration, "wait_for": wait_for}
        yield type("ShopOnALab", (Shop,), parts | {name: staticmethod(each) for name, each in functions.items()})


def test_the_shop_does_what_its_model_does(machine):
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    bounds = settings(max_examples=EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=bounds)
