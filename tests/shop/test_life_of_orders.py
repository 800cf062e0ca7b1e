"""The shop against a model of it: any sequence of what users and administrators do, over HTTP, then the invariants.

Among what they do is the same call twice, and several calls at the same time. Each example is compared with the model;
the invariants, for which all has to be quiet, are checked after every few. ``CLOUDCART_LIVES=5000 pytest
tests/shop/test_life_of_orders.py`` looks longer; an example takes about a fifth of a second.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
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

EXAMPLES = int(os.environ.get("CLOUDCART_LIVES", "500"))
STEPS = 12
MOVES = {
    "awaiting_payment": {"confirmed", "cancelled"},
    "confirmed": {"shipped", "cancelled"},
    "shipped": {"delivered", "returned"},
    "delivered": {"returned"},
    "cancelled": set(),
    "returned": set(),
}
GIVEN_BACK = {"cancelled", "returned"}
SOLD = ("confirmed", "shipped", "delivered")
OPEN = {"awaiting_payment", "confirmed", "shipped"}
PRODUCTS = 2
USERS = 2
PRICE = 2.5
BATCH = 48  # examples on the same data; the more there are, the longer an invariant takes to check
CHECKED = 6  # examples between two checks of the invariants: becoming quiet takes as long as an example

picks = st.integers(0, 1000)
orderings = st.lists(st.tuples(st.integers(0, PRODUCTS - 1), st.integers(1, 4)), min_size=1, max_size=3)


@dataclass
class Ordered:
    """What the model knows of an order."""

    buyer: int
    lines: list[tuple[int, int]]
    key: str
    answer: bytes = b""
    receipt: bytes = b""
    status: str = "awaiting_payment"

    @property
    def body(self) -> dict[str, Any]:
        return {"items": [{"product_id": product, "quantity": quantity} for product, quantity in self.lines]}

    @property
    def wanted(self) -> Counter[int]:
        wanted = Counter[int]()
        for product, quantity in self.lines:
            wanted[product] += quantity
        return wanted


class Fresh:
    """A running shop, emptied now and then, and shoppers for each example."""

    def __init__(self, lab: Lab, new_users: Callable[[int], list[Any]]) -> None:
        self.lab = lab
        self._new_users = new_users
        self._examples = 0
        self._opened = ExitStack()
        self._users: list[Any] = []
        self.tap: EventTap

    def users(self) -> list[Any]:
        """Return the shoppers of the next example."""
        if self._examples % BATCH == 0:
            self.close()
            self.lab.reset()
            self.tap = self._opened.enter_context(self.lab.tap_events())
            self._users = self._new_users(BATCH * USERS)
        self._examples += 1
        return [self._users.pop() for _ in range(USERS)]

    def check(self) -> None:
        """Check the invariants, if it is time; what is broken, one of the last examples broke."""
        if self._examples % CHECKED == 0:
            results = self.lab.check_invariants(self.tap)
            assert [result for result in results if result.verdict != "pass"] == []

    def close(self) -> None:
        self._opened.close()


class Shop(RuleBasedStateMachine):
    """The real shop beside its model. Stock that is given back comes by an event: then the model knows bounds only."""

    fresh: ClassVar[Fresh]
    threads: ClassVar[ThreadPoolExecutor]
    nobody: ClassVar[Any]
    admin: ClassVar[Any]
    new_product: ClassVar[Any]
    registration: ClassVar[Any]
    wait_for: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[int, Ordered] = {}
        self.cancelled: list[int] = []  # and never looked at again
        self.products: list[int] = []
        self.numbers = itertools.count(1)

    @initialize(stocks=st.lists(st.integers(0, 8), min_size=PRODUCTS, max_size=PRODUCTS))
    def open(self, stocks: list[int]) -> None:
        self.users = self.fresh.users()
        self.products = [self.new_product(stock=stock, price=PRICE)["id"] for stock in stocks]
        self.stock = dict(zip(self.products, stocks, strict=True))  # at least
        self.returning = dict.fromkeys(self.products, 0)  # on its way back, by an event

    @precondition(lambda self: len(self.users) < USERS + 1)
    @rule()
    def register(self) -> None:
        body = self.registration()
        answer = self.nobody("POST", "/auth/register", json=body)
        assert answer.status_code == 201
        assert self.nobody("POST", "/auth/register", json=body).status_code == 409
        self.users.append(replace(self.nobody, token=answer.json()["token"], user_id=answer.json()["user"]["id"]))

    @rule(buyer=picks, lines=orderings, times=st.sampled_from((1, 1, 3)))
    def order(self, buyer: int, lines: list[tuple[int, int]], times: int) -> None:
        chosen = [(self.products[number], quantity) for number, quantity in lines]
        made = Ordered(buyer % len(self.users), chosen, key=f"key-{next(self.numbers)}")
        answers = self.together([lambda: self.place(made)] * times)
        assert {answer.status_code for answer in answers} == {201}, answers[0].text
        assert len({answer.content for answer in answers}) == 1, "the same key was two orders"
        made.answer = answers[0].content
        assert answers[0].json()["total_amount"] == sum(quantity for _, quantity in lines) * PRICE
        self.orders[answers[0].json()["id"]] = made

    @precondition(lambda self: self.orders)
    @rule(which=picks)
    def order_again_by_key(self, which: int) -> None:
        _, known = self.pick(which)
        answer = self.place(known)
        assert (answer.status_code, answer.content) == (201, known.answer)

    @precondition(lambda self: self.orders)
    @rule(which=picks, by_somebody_else=st.sampled_from((False, False, False, True)), with_key=st.booleans())
    def pay(self, which: int, by_somebody_else: bool, with_key: bool) -> None:
        order_id, known = self.pick(which)
        payer = (known.buyer + by_somebody_else) % len(self.users)
        answer = self.paid(order_id, payer, f"pay-{order_id}" if with_key else "")
        if by_somebody_else:
            assert answer.status_code == 404
        elif with_key and known.receipt:
            assert (answer.status_code, answer.content) == (200, known.receipt)
        else:
            self.confirmed(known, answer)
            if with_key and answer.status_code == 200:
                known.receipt = answer.content

    @precondition(lambda self: self.orders)
    @rule(which=picks, times=st.integers(2, 4))
    def pay_several_times_at_once(self, which: int, times: int) -> None:
        order_id, known = self.pick(which)
        answers = self.together([lambda: self.paid(order_id, known.buyer)] * times)
        first, *others = sorted(answers, key=lambda answer: int(answer.status_code))
        assert {answer.status_code for answer in others} == {409}, "it was paid for twice"
        self.confirmed(known, first)

    @precondition(lambda self: self.waiting)
    @rule()
    def pay_for_everything_at_once(self) -> None:
        waiting = self.waiting
        answers = self.together([lambda n=number, b=known.buyer: self.paid(n, b) for number, known in waiting])
        both = sorted(zip(waiting, answers, strict=True), key=lambda one: int(one[1].status_code))
        for (_, known), answer in both:  # first those who got something, so that it is known what was left for others
            self.confirmed(known, answer)

    @precondition(lambda self: self.waiting)
    @rule(which=picks)
    def cancel_while_it_is_paid_for(self, which: int) -> None:
        order_id, known = self.waiting[which % len(self.waiting)]
        calls = [lambda: self.paid(order_id, known.buyer), lambda: self.moved(order_id, "cancelled", known.buyer)]
        payment, cancellation = self.together(calls)
        assert payment.status_code in (200, 409), payment.text
        assert cancellation.json()["status"] == "cancelled"  # before the payment or after it
        for product, quantity in known.wanted.items():  # perhaps taken, then certainly to be given back
            self.stock[product] -= quantity
            self.returning[product] += quantity
        known.status = "cancelled"

    @precondition(lambda self: any(MOVES[known.status] for known in self.orders.values()))
    @rule(which=picks, choice=picks)
    def move_on(self, which: int, choice: int) -> None:
        movable = [(number, known) for number, known in self.orders.items() if MOVES[known.status]]
        order_id, known = movable[which % len(movable)]
        moves = sorted(MOVES[known.status])
        status = moves[choice % len(moves)]
        answer = self.moved(order_id, status)
        if status == "confirmed":
            self.confirmed(known, answer)
            return
        assert answer.json()["status"] == status
        if status in GIVEN_BACK and known.status != "awaiting_payment":
            for product, quantity in known.wanted.items():
                self.returning[product] += quantity
        known.status = status

    @precondition(lambda self: self.orders)
    @rule(which=picks, status=st.sampled_from(sorted(MOVES)), by_owner=st.booleans())
    def move_where_it_cannot_go(self, which: int, status: str, by_owner: bool) -> None:
        order_id, known = self.pick(which)
        if by_owner and status != "cancelled":
            assert self.moved(order_id, status, known.buyer).status_code == 403
        elif status not in MOVES[known.status]:
            assert self.moved(order_id, status).status_code == 409

    @precondition(lambda self: self.orders)
    @rule(number=st.integers(0, PRODUCTS - 1), stock=st.integers(0, 12))
    def count_stock(self, number: int, stock: int) -> None:
        product = self.products[number]
        self.has_its_stock(product)
        answer = self.admin("PATCH", f"/products/{product}/stock", json={"stock": stock})
        assert answer.json()["stock"] == stock
        self.stock[product], self.returning[product] = stock, 0

    @rule(number=st.integers(0, PRODUCTS - 1), stock=st.integers(0, 8))
    def delete_a_product(self, number: int, stock: int) -> None:
        product = self.products[number]
        wanted = self.is_wanted(product)
        answer = self.admin("DELETE", f"/products/{product}")
        assert answer.status_code == (409 if wanted else 204), answer.text
        if not wanted:
            assert self.admin("DELETE", f"/products/{product}").status_code == 404
            self.replace_product(number, stock)

    @precondition(lambda self: self.sold)
    @rule(which=picks, stock=st.integers(0, 8))
    def return_what_is_not_sold_any_more(self, which: int, stock: int) -> None:
        order_id, known = self.sold[which % len(self.sold)]
        for status in SOLD[SOLD.index(known.status) + 1 :]:
            assert self.moved(order_id, status).status_code == 200
            known.status = status
        for number, product in enumerate(self.products):
            if product in known.wanted:
                self.delete_a_product(number, stock)
        assert self.moved(order_id, "returned").status_code == 200
        known.status = "returned"
        for product, quantity in known.wanted.items():
            self.returning[product] += quantity

    @rule(buyer=picks, number=st.integers(0, PRODUCTS - 1), quantity=st.integers(1, 4), stock=st.integers(0, 8))
    def delete_a_product_while_it_is_bought(self, buyer: int, number: int, quantity: int, stock: int) -> None:
        product, wanted = self.products[number], self.is_wanted(self.products[number])
        made = Ordered(buyer % len(self.users), [(product, quantity)], key=f"key-{next(self.numbers)}")

        def delete() -> int:
            return int(self.admin("DELETE", f"/products/{product}").status_code)

        def buy() -> tuple[Any, Any]:
            ordered = self.place(made)
            return ordered, self.paid(ordered.json()["id"], made.buyer) if ordered.status_code == 201 else None

        deleted, (ordered, payment) = self.together([delete, buy])
        assert deleted in ((409,) if wanted else (204, 409))
        assert ordered.status_code in ((201,) if deleted == 409 else (201, 422)), ordered.text
        if payment is not None:  # whoever was first, it ends alike: hypothesis wants to know what can be done next
            order_id = ordered.json()["id"]
            if payment.status_code == 200:
                assert deleted == 409, "what is gone was sold"
                self.stock[product] -= quantity
                self.returning[product] += quantity
            assert self.moved(order_id, "cancelled").status_code == 200
            self.cancelled.append(order_id)
        if not wanted:
            assert deleted == 204 or delete() == 204
            self.replace_product(number, stock)

    def is_wanted(self, product: int) -> bool:
        """Return whether an open order has a product."""
        return any(known.status in OPEN and product in known.wanted for known in self.orders.values())

    def replace_product(self, number: int, stock: int) -> None:
        """Have a new product instead of one that was deleted."""
        product = self.products[number] = self.new_product(stock=stock, price=PRICE)["id"]
        self.stock[product], self.returning[product] = stock, 0

    def confirmed(self, known: Ordered, answer: Any) -> None:
        """Check the answer to a payment or a confirmation by hand, and follow it."""
        assert answer.status_code in (200, 409), answer.text
        if known.status != "awaiting_payment":
            assert answer.status_code == 409
        elif answer.status_code == 409:
            assert any(self.stock[product] < quantity for product, quantity in known.wanted.items()), "there was enough"
            assert "missing" in answer.json()
        else:
            for product, quantity in known.wanted.items():
                assert quantity <= self.stock[product] + self.returning[product], "more was sold than there was"
                self.stock[product] -= quantity
            known.status = "confirmed"

    def place(self, order: Ordered) -> Any:
        """Order by its key."""
        return self.users[order.buyer]("POST", "/orders", {"idempotency-key": order.key}, json=order.body)

    def paid(self, order_id: int, payer: int, key: str = "") -> Any:
        """Return the answer to a payment."""
        headers = {"idempotency-key": key} if key else {}
        return self.users[payer]("POST", f"/orders/{order_id}/pay", headers, json={"payment_method": "card"})

    def moved(self, order_id: int, status: str, owner: int | None = None) -> Any:
        """Return the answer to a move, by the administrator or by an owner."""
        caller = self.admin if owner is None else self.users[owner]
        return caller("PATCH", f"/orders/{order_id}/status", json={"status": status})

    def together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Call all at the same time and return what they returned."""
        return list(self.threads.map(lambda call: call(), calls)) if len(calls) > 1 else [calls[0]()]

    @property
    def waiting(self) -> list[tuple[int, Ordered]]:
        """The orders that can be paid for."""
        return [(number, known) for number, known in self.orders.items() if known.status == "awaiting_payment"]

    @property
    def sold(self) -> list[tuple[int, Ordered]]:
        """The orders that hold stock."""
        return [(number, known) for number, known in self.orders.items() if known.status in SOLD]

    def has_its_stock(self, product: int) -> None:
        """Check a product's stock, as soon as all that is on its way back has come."""

        def as_the_model_says() -> bool:
            shown = self.admin("GET", f"/products/{product}").json()["stock"]
            return bool(shown == self.stock[product] + self.returning[product])

        if self.returning[product]:
            self.wait_for(as_the_model_says)
        assert as_the_model_says()

    def pick(self, which: int) -> tuple[int, Ordered]:
        """Return one of the orders."""
        order_id = sorted(self.orders)[which % len(self.orders)]
        return order_id, self.orders[order_id]

    def teardown(self) -> None:
        """Compare everything with the model."""
        if not self.products:
            return
        lists = [user("GET", "/orders/my-orders?limit=500").json() for user in self.users]
        shown = {order["id"]: order["status"] for orders in lists for order in orders}
        known = {n: known.status for n, known in self.orders.items()}
        assert shown == known | dict.fromkeys(self.cancelled, "cancelled")
        for product in self.products:
            self.has_its_stock(product)
        self.fresh.check()


@pytest.fixture
def machine(lab, nobody, admin, new_users, new_product, registration, wait_for) -> Iterator[type[Shop]]:
    """The machine on this lab, which begins as after its start."""
    fresh = Fresh(lab, new_users)
    with ThreadPoolExecutor(8) as threads:
        parts = {"fresh": fresh, "threads": threads, "nobody": nobody, "admin": admin}
        functions = {"new_product": new_product, "registration": registration, "wait_for": wait_for}
        yield type("ShopOnALab", (Shop,), parts | {name: staticmethod(each) for name, each in functions.items()})
    fresh.close()


def test_the_shop_does_what_its_model_does(machine):
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    bounds = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=bounds)
