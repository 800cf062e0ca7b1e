"""The product service: catalogue, rights, stock that is taken once, given back once, and never below zero."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from cloudcart.events import OrderStatusChanged
from cloudcart.exceptions import RefusedError
from cloudcart.lab.broker import Broker
from cloudcart.services.products.catalogue import Catalogue
from cloudcart.services.products.models import Line
from cloudcart.services.products.seed import SEED
from cloudcart.services.products.stock import Stock
from cloudcart.services.service import Service
from cloudcart.stores.publisher import Message, Publisher, message_of

NEW = {"name": "Lamp", "price": 12.5, "category": "Home", "stock": 5}


def moved(order_id: int, new: str, old: str = "confirmed") -> OrderStatusChanged:
    return OrderStatusChanged(
        service="orders", order_id=order_id, user_id=7, old_status=old, new_status=new, message="m"
    )


def test_seed() -> None:
    assert len(SEED) >= 24
    assert len({product.category for product in SEED}) == 5
    assert all(
        len(product.image_url) <= 500 and product.image_url.startswith("data:image/svg+xml,") for product in SEED
    )


def test_list_search_page(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("products") as shop:
            listed = await shop.products.get("/products")
            assert listed.headers["x-total-count"] == str(len(SEED)) == str(len(listed.json()))
            assert listed.json()[0]["price"] == 129.99
            books = await shop.products.get("/products?category=Books&limit=2&offset=2")
            assert len(books.json()) == 2
            assert books.headers["x-total-count"] == "6"
            assert '<?category=Books&limit=2&offset=4>; rel="next"' in books.headers["link"]
            assert (await shop.products.get("/products/category/Books")).headers["x-total-count"] == "6"
            assert [each["name"] for each in (await shop.products.get("/products?search=MUG")).json()] == [
                "Ceramic Mug"
            ]
            assert (await shop.products.get("/products?search=100%25")).json() == []  # a sign is no wildcard
            assert (await shop.products.get("/products?offset=1000")).headers["x-total-count"] == str(len(SEED))
            assert (await shop.products.get("/products?limit=0")).status_code == 422
            assert (await shop.products.get("/products?search=%00")).status_code == 422
            assert (await shop.products.get("/products/1")).json()["category"] == "Electronics"
            assert (await shop.products.get("/products/999")).status_code == 404
            assert await shop.metric("products", "product_views_total", category="Electronics") == 1

    asyncio.run(main())


def test_administration(start_shop: Any, admin_sql: Any, fresh_broker: Broker, eventually: Any) -> None:
    async def main() -> None:
        async with start_shop("products", "orders", kafka=fresh_broker.address) as shop:
            anybody = shop.bearer()
            assert (await shop.products.post("/products", json=NEW)).status_code == 401
            assert (await shop.products.post("/products", json=NEW, headers=anybody)).status_code == 403
            made = await shop.products.post("/products", json=NEW, headers=shop.admin)
            assert made.status_code == 201
            path = f"/products/{made.json()['id']}"
            assert (await shop.products.get(path)).json() == made.json()
            changed = await shop.products.put(path, json={"price": 9, "stock": 2}, headers=shop.admin)
            assert (changed.json()["price"], changed.json()["stock"], changed.json()["name"]) == (9, 2, "Lamp")
            counted = await shop.products.patch(f"{path}/stock", json={"stock": 0}, headers=shop.admin)
            assert counted.json()["stock"] == 0
            changes = admin_sql.execute(
                "SELECT change FROM products.stock_ledger WHERE product_id = %s ORDER BY id", (made.json()["id"],)
            ).fetchall()
            assert [change for (change,) in changes] == [5, -3, -2]
            assert (await shop.products.delete(path, headers=shop.admin)).status_code == 204
            assert (await shop.products.get(path)).status_code == 404
            order = await shop.orders.post(
                "/orders", json={"items": [{"product_id": 1, "quantity": 1}]}, headers=anybody
            )
            assert order.status_code == 201
            held = await shop.products.delete("/products/1", headers=shop.admin)
            assert held.status_code == 409
            await shop.orders.patch(
                f"/orders/{order.json()['id']}/status", json={"status": "cancelled"}, headers=anybody
            )
            assert (await shop.products.delete("/products/1", headers=shop.admin)).status_code == 204
            assert await shop.metric("products", "inventory_alerts_total", severity="critical") == 1

            async def none_pending() -> bool:
                return await shop.metric("products", "outbox_pending") == 0

            await eventually(none_pending)
            published = await shop.metric("products", "kafka_events_published_total", topic="product.stock_changed")
            assert published == 3

    asyncio.run(main())


def test_what_is_returned_of_a_deleted_product_is_noted(
    start_shop: Any, admin_sql: Any, fresh_broker: Broker, eventually: Any
) -> None:
    async def main() -> None:
        async with start_shop("products", "orders", kafka=fresh_broker.address) as shop:
            buyer, basket = (
                shop.bearer(),
                {"items": [{"product_id": 1, "quantity": 4}, {"product_id": 2, "quantity": 1}]},
            )
            order = (await shop.orders.post("/orders", json=basket, headers=buyer)).json()["id"]
            await shop.orders.post(f"/orders/{order}/pay", json={"payment_method": "card"}, headers=buyer)
            status = f"/orders/{order}/status"
            for new in ("shipped", "delivered"):
                assert (await shop.orders.patch(status, json={"status": new}, headers=shop.admin)).status_code == 200
            assert (await shop.products.delete("/products/1", headers=shop.admin)).status_code == 204
            await shop.orders.patch(status, json={"status": "returned"}, headers=shop.admin)

            async def restored() -> bool:
                return await stock_of(shop, 2) == 10_000

            await eventually(restored, 20)
            ledger = admin_sql.execute(
                "SELECT product_id, change, reason FROM products.stock_ledger WHERE order_id = %s ORDER BY id", (order,)
            ).fetchall()
            assert sorted(ledger) == [(1, -4, "sold"), (1, 4, "restored"), (2, -1, "sold"), (2, 1, "restored")]

    asyncio.run(main())


def test_nobody_takes_a_product_that_is_being_deleted(settings_for: Any, admin_sql: Any, eventually: Any) -> None:
    """The sale comes between the question for open orders and the deletion."""

    async def main() -> None:
        service = Service("products", settings_for("products", {}, {}, "127.0.0.1:9"), None)
        outbox = service.outbox()
        stock = Stock(outbox, 10, service.telemetry)
        sales: list[asyncio.Task[None]] = []

        async def none_open(product_id: int) -> int:
            sales.append(asyncio.create_task(stock.take(1, 0, [Line(product_id=product_id, quantity=1)])))

            async def sold_or_waiting() -> bool:
                waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'products'"
                return sales[0].done() or admin_sql.execute(waiting).fetchone() is not None

            await eventually(sold_or_waiting)
            return 0

        catalogue = Catalogue(service.database, outbox, stock, none_open)
        await catalogue.seed()
        await catalogue.delete(1)
        with pytest.raises(RefusedError, match="not sold any more"):
            await sales[0]
        await service.database.close()

    asyncio.run(main())


BAD = [
    ({"price": -1}, "price"),
    ({"price": 1.999}, "price"),
    ({"price": 100000000}, "price"),
    ({"price": "NaN"}, "price"),
    ({"price": "1e2"}, "price"),
    ({"stock": -1}, "stock"),
    ({"stock": 1.5}, "stock"),
    ({"stock": True}, "stock"),
    ({"stock": "1"}, "stock"),
    ({"stock": 2**31}, "stock"),
    ({"name": ""}, "name"),
    ({"name": "x" * 201}, "name"),
    ({"category": "\x00"}, "category"),
    ({"image_url": "javascript:alert(1)"}, "image_url"),
]


def test_bad_products_are_refused(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("products") as shop:
            for change, field in BAD:
                answer = await shop.products.post("/products", json=NEW | change, headers=shop.admin)
                assert answer.status_code == 422, change
                assert answer.json()["errors"][0]["field"] == field

    asyncio.run(main())


async def take(shop: Any, order_id: int, items: dict[int, int], epoch: int = 0) -> Any:
    lines = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in items.items()]
    document = {"order_id": order_id, "epoch": epoch, "items": lines}
    return await shop.products.post("/internal/stock/take", json=document, headers=shop.internal)


async def stock_of(shop: Any, product_id: int) -> int:
    return (await shop.products.get(f"/products/{product_id}")).json()["stock"]  # type: ignore[no-any-return]


def test_take_is_all_or_none_and_once(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("products") as shop:
            await shop.products.patch("/products/2/stock", json={"stock": 1}, headers=shop.admin)
            short = await take(shop, 1, {1: 1, 2: 2})
            assert short.status_code == 409
            assert short.json()["missing"] == [{"product_id": 2, "stock": 1}]
            assert await stock_of(shop, 1) == 10_000
            assert (await take(shop, 1, {1: 1, 999: 1})).status_code == 409
            answers = await asyncio.gather(*(take(shop, 1, {2: 1, 1: 3}) for _ in range(5)))
            assert [answer.status_code for answer in answers] == [200] * 5
            assert (await stock_of(shop, 1), await stock_of(shop, 2)) == (9_997, 0)

    asyncio.run(main())


def test_no_oversell_and_no_deadlock(start_shop: Any, admin_sql: Any) -> None:
    async def main() -> None:
        async with start_shop("products") as shop:
            for product_id in (1, 2):
                await shop.products.patch(f"/products/{product_id}/stock", json={"stock": 10}, headers=shop.admin)
            baskets = [{1: 1, 2: 1} if number % 2 else {2: 1, 1: 1} for number in range(50)]
            answers = await asyncio.gather(*(take(shop, number + 1, basket) for number, basket in enumerate(baskets)))
            statuses = [answer.status_code for answer in answers]
            assert (statuses.count(200), statuses.count(409)) == (10, 40)
            assert (await stock_of(shop, 1), await stock_of(shop, 2)) == (0, 0)
            unbalanced = admin_sql.execute(
                "SELECT id FROM products.products WHERE stock <> "
                "(SELECT coalesce(sum(change), 0) FROM products.stock_ledger WHERE product_id = products.id)"
            ).fetchall()
            assert unbalanced == []

    asyncio.run(main())


def test_stock_comes_back_once_by_event(start_shop: Any, fresh_broker: Broker, eventually: Any) -> None:
    async def main() -> None:
        async with start_shop("products", kafka=fresh_broker.address) as shop:
            assert (await take(shop, 1, {1: 3})).status_code == 200
            assert (await take(shop, 2, {1: 5})).status_code == 200
            cancelled, confirmed = moved(1, "cancelled"), moved(2, "confirmed", "awaiting_payment")
            publisher = Publisher(fresh_broker.address, "test")
            poison = Message("order.status_changed", b"1", b"\xff not json")
            again = message_of(moved(1, "cancelled"))  # another event that says the same
            try:
                messages = [poison, message_of(cancelled), message_of(cancelled), message_of(confirmed), again]
                assert all(await publisher.publish(messages))
            finally:
                await publisher.close()

            async def restored() -> bool:
                return await stock_of(shop, 1) == 9_995

            await eventually(restored, 20)

            async def caught_up() -> bool:
                return await shop.metric("products", "kafka_consumergroup_lag", topic="order.status_changed") == 0

            await eventually(caught_up)
            assert await stock_of(shop, 1) == 9_995
            late = await take(shop, 1, {1: 3})
            assert late.status_code == 409

    asyncio.run(main())


def test_sweep_releases_what_was_not_confirmed(start_shop: Any, admin_sql: Any, eventually: Any) -> None:
    async def main() -> None:
        async with start_shop("products", "orders", overrides={"products.hold": 0.1}) as shop:
            bearer = shop.bearer()
            basket = {"items": [{"product_id": 1, "quantity": 4}]}
            abandoned = (await shop.orders.post("/orders", json=basket, headers=bearer)).json()["id"]
            paid = (await shop.orders.post("/orders", json=basket, headers=bearer)).json()["id"]
            await shop.orders.post(f"/orders/{paid}/pay", json={"payment_method": "card"}, headers=bearer)
            # the order service died between taking stock and confirming; a third order was never in its books
            assert (await take(shop, abandoned, {1: 4})).status_code == 200
            assert (await take(shop, 900, {1: 4})).status_code == 200

            async def released() -> bool:
                return await stock_of(shop, 1) == 9_996

            await eventually(released, 20)
            stale = await take(shop, abandoned, {1: 4}, epoch=0)
            assert stale.status_code == 409  # the call that was stuck for so long
            again = await shop.orders.post(f"/orders/{abandoned}/pay", json={"payment_method": "card"}, headers=bearer)
            assert again.status_code == 200
            assert await stock_of(shop, 1) == 9_992

    asyncio.run(main())


def test_reset(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("products") as shop:
            await take(shop, 1, {1: 3})
            await shop.products.post("/products", json=NEW, headers=shop.admin)
            assert (await shop.products.post("/internal/reset", headers=shop.internal)).status_code == 204
            listed = (await shop.products.get("/products")).json()
            assert [each["id"] for each in listed] == list(range(1, len(SEED) + 1))
            assert await stock_of(shop, 1) == 10_000

    asyncio.run(main())


def test_lookup_is_exact(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("products") as shop:
            answer = await shop.products.post(
                "/internal/products/lookup", json={"ids": [1, 999]}, headers=shop.internal
            )
            assert json.loads(answer.text) == {
                "products": [{"id": 1, "name": "Wireless Headphones", "price": "129.99"}]
            }
            assert (await shop.products.post("/internal/products/lookup", json={"ids": [1]})).status_code == 401

    asyncio.run(main())
