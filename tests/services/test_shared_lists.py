"""The lists that Redis keeps for all product services: known, outdated by changes and events, never in the way."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cloudcart.exceptions import StoreError
from cloudcart.lab.broker import Broker
from cloudcart.lab.valkey import Valkey
from cloudcart.services.products.shared_lists import ListPage, SharedLists
from cloudcart.stores.consumer import ConsumerMetrics
from cloudcart.stores.redis import Redis
from cloudcart.telemetry.context import RequestContext, current
from cloudcart.telemetry.metrics import Telemetry

OLD, NEW = ListPage(b'[{"name":"Caf\xc3\xa9\\n"}]', 31), ListPage(b"[]", 0)


class Process:
    """One process of the product service, as far as its lists go; ``reads`` counts how often it asked its tables."""

    def __init__(self, url: str, ttl: float = 60.0) -> None:
        self.registry = CollectorRegistry()
        telemetry = Telemetry("products", self.registry)
        self.redis = Redis(url, telemetry)
        self.lists = SharedLists(self.redis, ttl, telemetry, ConsumerMetrics(telemetry))
        self.reads = 0

    async def page(self, found: ListPage, name: str = "all") -> ListPage:
        async def read() -> ListPage:
            self.reads += 1
            return found

        return await self.lists.page(name, read)

    def count(self, what: str) -> float | None:
        return self.registry.get_sample_value(f"cache_{what}_total")


def run(url: str, use: Callable[[Process, Process], Awaitable[None]], **options: float) -> None:
    async def bounded() -> None:
        one, other = Process(url, **options), Process(url, **options)
        try:
            async with asyncio.timeout(20):
                await use(one, other)
        finally:
            await one.redis.close()
            await other.redis.close()

    asyncio.run(bounded())


@pytest.fixture
def empty(valkey: Valkey) -> str:
    """The address of a server that knows no page."""

    async def flush(one: Process, _other: Process) -> None:
        await one.redis.command("FLUSHDB")

    run(valkey.url, flush)
    return valkey.url


def test_a_page_is_read_once_for_all_processes_until_a_change(empty: str) -> None:
    async def use(one: Process, other: Process) -> None:
        assert await one.page(OLD) == OLD
        assert await other.page(NEW) == OLD
        assert await other.page(NEW, "another") == NEW
        assert (one.reads, other.reads) == (1, 1)
        assert (other.count("hits"), other.count("misses")) == (1, 1)
        await other.lists.expire()
        assert await one.page(NEW) == NEW
        assert await other.page(OLD) == NEW
        assert one.reads == 2

    run(empty, use)


def test_a_page_read_before_a_change_and_kept_after_it_is_not_taken_for_new(empty: str) -> None:
    async def use(one: Process, other: Process) -> None:
        async def read_slowly() -> ListPage:
            await other.lists.expire()
            return OLD

        assert await one.lists.page("all", read_slowly) == OLD
        assert await one.page(NEW) == NEW

    run(empty, use)


def test_not_even_if_redis_was_emptied_before_the_reading_and_after_the_change(empty: str) -> None:
    async def use(one: Process, other: Process) -> None:
        async def read_slowly() -> ListPage:
            await other.lists.expire()
            await other.redis.command("FLUSHDB")
            return OLD

        assert await one.lists.page("all", read_slowly) == OLD
        assert await one.page(NEW) == NEW

    run(empty, use)


def test_a_page_is_kept_for_its_time_at_most(empty: str, eventually: Callable[..., Awaitable[Any]]) -> None:
    async def use(one: Process, _other: Process) -> None:
        assert await one.page(OLD) == OLD

        async def gone() -> bool:
            return await one.page(NEW) == NEW

        await eventually(gone)

    run(empty, use, ttl=0.05)


def test_a_flushed_redis_costs_one_more_look_at_the_tables(empty: str) -> None:
    async def use(one: Process, _other: Process) -> None:
        await one.lists.expire()
        await one.page(OLD)
        await one.redis.command("FLUSHDB")
        assert [await one.page(NEW), await one.page(OLD)] == [NEW, NEW]
        assert one.reads == 2

    run(empty, use)


def test_without_redis_every_list_is_read_and_a_change_is_not_taken_for_heard() -> None:
    async def use(one: Process, _other: Process) -> None:
        assert [await one.page(OLD), await one.page(NEW)] == [OLD, NEW]
        with pytest.raises(StoreError):
            await one.lists.handle([])

    run("unix:///nowhere/redis.sock", use)


def test_a_request_that_brings_a_fault_is_read_for(empty: str) -> None:
    async def use(one: Process, _other: Process) -> None:
        await one.page(OLD)
        token = current.set(RequestContext("r", "00-0-0-01", inject="latency:target=products"))
        assert await one.page(NEW) == NEW
        current.reset(token)
        assert await one.page(NEW) == OLD

    run(empty, use)


async def stocks(shop: Any) -> list[int]:
    return [each["stock"] for each in (await shop.products.get("/products?limit=2")).json()]


async def sell(shop: Any, order_id: int) -> None:
    """Sell one of the first product, as orders does."""
    document = {"order_id": order_id, "epoch": 0, "items": [{"product_id": 1, "quantity": 1}]}
    answer = await shop.products.post("/internal/stock/take", json=document, headers=shop.internal)
    assert answer.status_code == 200


def test_the_shop_shows_a_sale_by_its_event_and_an_administrators_change_at_once(
    start_shop: Any, fresh_broker: Broker, eventually: Callable[..., Awaitable[Any]]
) -> None:
    async def main() -> None:
        async with start_shop("products", kafka=fresh_broker.address, overrides={"products.cache_ttl": "1h"}) as shop:
            before = await stocks(shop)
            assert await stocks(shop) == before
            assert await shop.metric("products", "cache_hits_total") >= 1
            await sell(shop, 1)

            async def sold() -> bool:
                return await stocks(shop) == [before[0] - 1, before[1]]

            await eventually(sold)
            product = (await shop.products.get("/products?limit=1")).json()[0]
            path = f"/products/{product['id']}"
            for change, expected in (
                (shop.products.patch(f"{path}/stock", json={"stock": 5}, headers=shop.admin), [5, before[1]]),
                (shop.products.put(path, json={"stock": 6}, headers=shop.admin), [6, before[1]]),
            ):
                await stocks(shop)
                assert (await change).status_code == 200
                assert await stocks(shop) == expected
            made = {"name": "Lamp", "price": 1, "category": "Rare", "stock": 3}
            assert (await shop.products.get("/products?category=Rare")).json() == []
            lamp = await shop.products.post("/products", json=made, headers=shop.admin)
            assert [each["name"] for each in (await shop.products.get("/products?category=Rare")).json()] == ["Lamp"]
            await shop.products.put(f"/products/{lamp.json()['id']}", json={"name": "Lux"}, headers=shop.admin)
            assert [each["name"] for each in (await shop.products.get("/products?category=Rare")).json()] == ["Lux"]
            await shop.products.post("/internal/reset", headers=shop.internal)
            assert (await shop.products.get("/products?category=Rare")).json() == []

    asyncio.run(main())


@contextmanager
def paused(server: Valkey) -> Any:
    """Hold the server still: it keeps what it has, and answers nobody."""
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def test_a_sale_while_redis_is_away_is_heard_when_it_comes_back(
    start_shop: Any, fresh_broker: Broker, short_directory: Path, eventually: Callable[..., Awaitable[Any]]
) -> None:
    """And nobody waits for it: lists come from the tables, and so do the events of orders go on."""

    async def main(server: Valkey) -> None:
        overrides = {"products.cache_ttl": "1h", "stores.redis": server.url}
        async with start_shop("products", kafka=fresh_broker.address, overrides=overrides) as shop:
            await sell(shop, 1)

            async def follows() -> bool:
                handled = await shop.metric(
                    "products", "kafka_events_consumed_total", topic="product.stock_changed", outcome="handled"
                )
                return handled >= 1

            await eventually(follows)  # the consumer has joined
            before = await stocks(shop)
            with paused(server):
                await sell(shop, 2)
                assert await stocks(shop) == [before[0] - 1, before[1]]

                async def waits() -> bool:
                    lag = await shop.metric("products", "kafka_consumergroup_lag", topic="product.stock_changed")
                    return lag >= 1

                await eventually(waits)

            async def heard() -> bool:
                hits = await shop.metric("products", "cache_hits_total")
                new = await stocks(shop) == [before[0] - 1, before[1]]
                return new and await shop.metric("products", "cache_hits_total") > hits

            await eventually(heard)

    with Valkey(short_directory / "paused-valkey") as server:
        asyncio.run(main(server))


def test_switched_off_every_list_is_read(start_shop: Any, admin_sql: Any) -> None:
    async def main() -> None:
        async with start_shop("products", overrides={"products.cache": "off"}) as shop:
            await stocks(shop)
            admin_sql.execute("UPDATE products.products SET stock = 3")
            assert await stocks(shop) == [3, 3]

    asyncio.run(main())
