"""Synthetic visitors: when they come, what they do, and that a shop they buy from does not run out."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from cloudcart.services.traffic.arrivals import Arrival, Kind, arrivals, in_burst
from cloudcart.services.traffic.clerk import Clerk, Sales
from cloudcart.services.traffic.client import Answer, TrafficMetrics
from cloudcart.services.traffic.crowd import Crowd
from cloudcart.services.traffic.visits import Visits
from cloudcart.settings import Settings, Traffic

PASSWORD = SecretStr("the administrator's")


class Shop:
    """Answers like a shop, as far as visitors and clerk need it; ``down`` makes it answer nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.stock = {1: 5, 2: 50}
        self.down = False
        self.forgetful = False

    async def ask(self, method: str, route: str, *, token: str = "", body: Any = None, **place: Any) -> Answer:
        self.calls.append((method, route))
        if self.down:
            return Answer(0)
        if self.forgetful and token:
            return Answer(401)
        match method, route:
            case "POST", "/auth/register" | "/auth/login":
                return Answer(201, {"token": "t"})
            case "GET", "/products":
                return Answer(200, [{"id": i, "stock": stock, "category": "c"} for i, stock in self.stock.items()])
            case "PATCH", "/products/{id}/stock":
                self.stock[place["id"]] = body["stock"]
            case "GET", "/orders/my-orders":
                return Answer(200, [{"id": 9}])
        return Answer(200, {"id": 9})

    @property
    def counted(self) -> Counter[str]:
        return Counter(f"{method} {route}" for method, route in self.calls)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def visits(shop: Shop, monkeypatch) -> Visits:
    monkeypatch.setattr("cloudcart.services.traffic.visits._THINKING", (0.0, 0.0))
    return Visits(shop, Traffic(accounts=1), Sales(), random.Random(1))


def first(count: int, traffic: Traffic, seed: int = 0) -> list[Arrival]:
    return list(itertools.islice(arrivals(traffic, random.Random(seed)), count))


def test_as_many_come_as_are_wanted():
    quiet = first(20_000, Traffic(rate=2, burst_length=0))
    assert 20_000 / quiet[-1].due == pytest.approx(2, rel=0.05)
    assert sum(each.kind is Kind.MISTAKE for each in quiet) / 20_000 == pytest.approx(0.05, abs=0.01)
    assert {each.kind for each in quiet} == set(Kind)


def test_bursts_come_and_go():
    traffic = Traffic(rate=2, burst_factor=5, burst_every=100, burst_length=10)
    seen = [each for each in first(20_000, traffic) if each.due < 2_000]
    burst = sum(each.in_burst for each in seen)
    assert burst / 200 == pytest.approx(10, rel=0.15)
    assert (len(seen) - burst) / 1800 == pytest.approx(2, rel=0.1)


@given(st.integers(0, 2**32))
def test_the_same_seed_brings_the_same_visitors(seed):
    traffic = Traffic()
    seen = first(50, traffic, seed)
    assert seen == first(50, traffic, seed)
    assert [each.due for each in seen] == sorted(each.due for each in seen)
    assert all(each.in_burst == in_burst(traffic, each.due) for each in seen)


def test_the_first_visitor_registers_whatever_they_came_for(shop, visits):
    asyncio.run(visits.visit(Kind.BUY))
    assert shop.calls == [("POST", "/auth/register")]


@pytest.mark.parametrize(
    ("kind", "does"),
    [
        (Kind.BROWSE, "GET /products/{id}"),
        (Kind.BUY, "POST /orders/{id}/pay"),
        (Kind.TRACK, "GET /notifications"),
        (Kind.LOGIN, "POST /auth/login"),
        (Kind.REGISTER, "POST /auth/register"),
    ],
)
def test_each_kind_does_what_it_came_for(shop, visits, kind, does):
    async def visit() -> None:
        await visits.visit(Kind.REGISTER)
        for _ in range(3):
            await visits.visit(kind)

    asyncio.run(visit())
    assert shop.counted[does]


def test_there_are_no_more_accounts_than_allowed(shop, visits):
    async def register() -> None:
        await asyncio.gather(*(visits.visit(Kind.REGISTER) for _ in range(9)))

    asyncio.run(register())
    assert shop.counted["POST /auth/register"] == 1


def test_a_token_that_is_not_accepted_is_forgotten(shop, visits):
    async def come_back() -> None:
        await visits.visit(Kind.BROWSE)
        shop.forgetful = True
        await visits.visit(Kind.TRACK)
        shop.forgetful = False
        await visits.visit(Kind.BROWSE)

    asyncio.run(come_back())
    assert shop.counted["POST /auth/register"] == 2


def test_nothing_is_made_of_a_shop_that_is_down(shop, visits):
    async def come() -> None:
        await visits.visit(Kind.REGISTER)
        shop.down = True
        for kind in Kind:
            await visits.visit(kind)

    asyncio.run(come())


def test_the_clerk_fills_up_what_visitors_bought_and_sends_it_off(shop):
    sales = Sales(products={1}, paid=deque([9]))
    clerk = Clerk(shop, PASSWORD, sales, random.Random(0))
    asyncio.run(rounds(clerk, 2))
    assert shop.stock == {1: 105, 2: 50}
    assert shop.counted["PATCH /orders/{id}/status"] >= 2  # shipped, then delivered
    assert (sales.products, list(sales.paid), list(sales.shipped)) == (set(), [], [])


def test_the_clerk_leaves_alone_what_nobody_bought(shop):
    asyncio.run(rounds(Clerk(shop, PASSWORD, Sales(products={2}), random.Random(0)), 1))
    assert shop.stock == {1: 5, 2: 50}


def test_the_clerk_logs_in_again(shop):
    clerk = Clerk(shop, PASSWORD, Sales(), random.Random(0))
    asyncio.run(rounds(clerk, 2))
    assert shop.counted["POST /auth/login"] == 1
    shop.forgetful = True
    asyncio.run(rounds(clerk, 1))
    shop.forgetful = False
    asyncio.run(rounds(clerk, 1))
    assert shop.counted["POST /auth/login"] == 2


async def rounds(clerk: Clerk, count: int) -> None:
    for _ in range(count):
        await clerk.work(PASSWORD)


def test_a_stuck_shop_gathers_no_crowd():
    registry = CollectorRegistry()
    answered = asyncio.Event()

    class Stuck:
        async def visit(self, _kind: Kind) -> None:
            await answered.wait()

    def coming() -> Iterator[Arrival]:
        yield from (Arrival(0.0, Kind.BROWSE, in_burst=True) for _ in range(80))
        answered.set()

    asyncio.run(Crowd(Stuck(), coming(), TrafficMetrics(registry)).run())
    assert registry.get_sample_value("traffic_visits_dropped_total") == 30
    assert registry.get_sample_value("traffic_visits_total", {"kind": "browse"}) == 50
    assert registry.get_sample_value("traffic_burst") == 1


def test_only_who_logs_in_knows_a_password():
    auth = {"private_key": "k", "admin_password": "a", "demo_password": "d"}
    settings = Settings().with_overrides({f"auth.{name}": value for name, value in auth.items()})
    assert settings.for_service("orders").auth.admin_password is None
    traffic = settings.for_service("traffic").auth
    assert (traffic.private_key, traffic.demo_password) == (None, None)
    assert traffic.admin_password is not None
