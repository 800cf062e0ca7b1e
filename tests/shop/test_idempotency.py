"""One effect: requests with the same key, and payments of the same order, one after the other and at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

KEY = "idempotency-key"


@pytest.fixture
def together() -> Callable[[Iterable[Callable[[], Any]]], list[Any]]:
    """Return a function that calls all at the same time and returns what they returned."""

    def call(calls: Iterable[Callable[[], Any]]) -> list[Any]:
        with ThreadPoolExecutor(64) as threads:
            return [future.result() for future in [threads.submit(each) for each in calls]]

    return call


def body(product_id: int, quantity: int = 1) -> dict[str, Any]:
    return {"items": [{"product_id": product_id, "quantity": quantity}]}


def test_the_same_key_and_body_is_one_order(user, new_product, is_problem):
    product = new_product()["id"]
    answers = [user("POST", "/orders", {KEY: "one"}, json=body(product)) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(user("GET", "/orders/my-orders").json()) == 1
    assert is_problem(user("POST", "/orders", {KEY: "one"}, json=body(product, 2)), 422)
    assert user("POST", "/orders", {KEY: "two"}, json=body(product)).json() != answers[0].json()


def test_keys_of_others_do_not_meet(user, new_user, new_product):
    product, other = new_product()["id"], new_user()
    one = user("POST", "/orders", {KEY: "shared"}, json=body(product)).json()
    two = other("POST", "/orders", {KEY: "shared"}, json=body(product, 2)).json()
    assert (one["user_id"], two["user_id"]) == (user.user_id, other.user_id)


def test_a_key_is_kept_for_what_had_an_effect_only(user, new_product, admin):
    product = new_product(stock=0)["id"]
    order = user.order(product)["id"]
    pay = {"payment_method": "card"}
    assert user("POST", f"/orders/{order}/pay", {KEY: "k"}, json=pay).status_code == 409
    admin("PATCH", f"/products/{product}/stock", json={"stock": 1})
    paid = user("POST", f"/orders/{order}/pay", {KEY: "k"}, json=pay)
    assert paid.status_code == 200
    assert user("POST", f"/orders/{order}/pay", {KEY: "k"}, json=pay).content == paid.content
    assert user("POST", f"/orders/{order}/pay", {KEY: "k"}, json={"payment_method": "cash"}).status_code == 422
    assert user("POST", f"/orders/{order}/pay", json=pay).status_code == 409
    assert user("GET", f"/products/{product}").json()["stock"] == 0


def test_the_same_key_at_the_same_time_is_one_order(user, new_product, together):
    product = new_product()["id"]
    answers = together([lambda: user("POST", "/orders", {KEY: "now"}, json=body(product))] * 16)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(user("GET", "/orders/my-orders").json()) == 1


def test_the_same_key_with_two_bodies_at_the_same_time(user, new_product, together):
    product = new_product()["id"]
    calls = [lambda n=n: user("POST", "/orders", {KEY: "now"}, json=body(product, n % 2 + 1)) for n in range(16)]
    assert Counter(answer.status_code for answer in together(calls)) == {201: 8, 422: 8}
    assert len(user("GET", "/orders/my-orders").json()) == 1


@pytest.mark.parametrize("attempt", range(5))
def test_a_payment_repeated_at_the_same_time_with_its_key_gets_the_same_answer(user, new_product, together, attempt):
    order = user.order(new_product()["id"])["id"]
    answers = together(
        [lambda: user("POST", f"/orders/{order}/pay", {KEY: "now"}, json={"payment_method": "card"})] * 8
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(("count", "attempt"), [*((8, attempt) for attempt in range(10)), (40, 0)])
def test_payments_of_one_order_at_the_same_time_are_one_charge(lab, user, new_product, together, count, attempt):
    product = new_product(stock=5)["id"]
    order = user.order(product, 2)["id"]
    methods = [f"card {number}" for number in range(count)]
    calls = [lambda m=m: user("POST", f"/orders/{order}/pay", json={"payment_method": m}) for m in methods]
    answers = together(calls)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: count - 1}
    (winner,) = (m for m, answer in zip(methods, answers, strict=True) if answer.status_code == 200)
    with psycopg.connect(lab.database_url) as database:
        payments = database.execute("SELECT payment_method, amount FROM orders.payments WHERE order_id = %s", [order])
        assert [(method, float(amount)) for method, amount in payments] == [(winner, 5.0)]
    assert user("GET", f"/products/{product}").json()["stock"] == 3
