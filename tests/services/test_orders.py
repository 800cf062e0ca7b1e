"""The order service with the product service: prices, rights, one charge, no half-done confirmation."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from cloudcart.events import decode
from cloudcart.lab.broker import Broker
from cloudcart.services.http_client import Response
from cloudcart.services.orders.products_client import ProductsClient

CARD = {"payment_method": "card"}


def basket(*lines: tuple[int, int]) -> dict[str, Any]:
    return {"items": [{"product_id": product_id, "quantity": quantity} for product_id, quantity in lines]}


async def ordered(shop: Any, *lines: tuple[int, int], user: int = 7) -> Any:
    answer = await shop.orders.post("/orders", json=basket(*lines), headers=shop.bearer(user))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def pay(shop: Any, order_id: int, user: int = 7, **headers: str) -> Any:
    return await shop.orders.post(f"/orders/{order_id}/pay", json=CARD, headers=shop.bearer(user) | headers)


async def move(shop: Any, order_id: int, status: str, headers: dict[str, str]) -> Any:
    return await shop.orders.patch(f"/orders/{order_id}/status", json={"status": status}, headers=headers)


async def stock_of(shop: Any, product_id: int) -> int:
    return (await shop.products.get(f"/products/{product_id}")).json()["stock"]  # type: ignore[no-any-return]


def test_prices_come_from_the_catalogue(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products") as shop:
            cheap = basket((1, 2), (7, 1))
            cheap["items"][0]["price"] = 0.01
            answer = await shop.orders.post("/orders", json=cheap, headers=shop.bearer())
            order = answer.json()
            assert answer.status_code == 201
            assert order["status"] == "awaiting_payment"
            assert order["total_amount"] == float(2 * Decimal("129.99") + Decimal("34.00"))
            assert [item["price"] for item in order["items"]] == [129.99, 34.0]
            assert order["items"][0].keys() == {
                "id", "order_id", "product_id", "product_name", "quantity", "price", "created_at",
            }  # fmt: skip
            assert (await shop.orders.get(f"/orders/{order['id']}", headers=shop.bearer())).json() == order
            assert await stock_of(shop, 1) == 10_000  # nothing is taken before the payment

    asyncio.run(main())


BAD = [
    ({"items": []}, "items"),
    ({"items": [{"product_id": 1, "quantity": 1}] * 51}, "items"),
    (basket((1, 0)), "items.0.quantity"),
    (basket((1, 1001)), "items.0.quantity"),
    (basket((1, 1), (99999, 1)), "items.1.product_id"),
    ({"items": [{"product_id": 1, "quantity": 1.5}]}, "items.0.quantity"),
    ({"items": [{"product_id": 1, "quantity": True}]}, "items.0.quantity"),
    ({}, "items"),
]


def test_bad_orders_are_refused(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products") as shop:
            for body, field in BAD:
                answer = await shop.orders.post("/orders", json=body, headers=shop.bearer())
                assert answer.status_code == 422, body
                assert answer.json()["errors"][0]["field"] == field
            assert (await shop.orders.post("/orders", json=basket((1, 1)))).status_code == 401
            change = {"price": 99_999_999.99}
            await shop.products.put("/products/1", json=change, headers=shop.admin)
            answer = await shop.orders.post("/orders", json=basket((1, 2)), headers=shop.bearer())
            assert answer.status_code == 422

    asyncio.run(main())


def test_pay_ship_deliver_return(start_shop: Any, fresh_broker: Broker, admin_sql: Any, eventually: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products", kafka=fresh_broker.address) as shop:
            order = await ordered(shop, (1, 2))
            paid = await pay(shop, order["id"])
            assert (paid.status_code, paid.json()["status"]) == (200, "confirmed")
            assert await stock_of(shop, 1) == 9_998
            assert (await pay(shop, order["id"])).status_code == 409
            for status in ("delivered", "awaiting_payment", "confirmed", "returned"):
                assert (await move(shop, order["id"], status, shop.admin)).status_code == 409
            for status in ("shipped", "delivered", "returned"):
                moved = await move(shop, order["id"], status, shop.admin)
                assert (moved.status_code, moved.json()["status"]) == (200, status)

            async def given_back() -> bool:
                return await stock_of(shop, 1) == 10_000

            await eventually(given_back, 20)
            assert admin_sql.execute("SELECT amount, payment_method FROM orders.payments").fetchall() == [
                (Decimal("259.98"), "card")
            ]
            moves = [("awaiting_payment", "confirmed"), ("confirmed", "shipped"), ("shipped", "delivered")]
            for old, new in moves:
                assert await shop.metric("orders", "order_transitions_total", **{"from": old, "to": new}) == 1
            assert await shop.metric("orders", "orders_revenue_total") == 259.98
            assert await shop.metric("orders", "order_payments_total", status="succeeded") == 1
            assert await shop.metric("orders", "order_payments_total", status="refused") == 1

            async def all_published() -> bool:
                return await shop.metric("orders", "kafka_events_published_total", topic="order.status_changed") == 4

            await eventually(all_published)

    asyncio.run(main())


def test_rights(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products") as shop:
            mine, theirs = await ordered(shop, (1, 1)), await ordered(shop, (2, 1), user=8)
            path = f"/orders/{theirs['id']}"
            assert (await shop.orders.get(path, headers=shop.bearer(7))).status_code == 404
            assert (await pay(shop, theirs["id"], user=7)).status_code == 404
            assert (await move(shop, theirs["id"], "cancelled", shop.bearer(7))).status_code == 404
            assert (await shop.orders.get(path, headers=shop.admin)).status_code == 200
            assert (await pay(shop, mine["id"], user=1)).status_code == 404
            by_admin = await shop.orders.post(f"/orders/{mine['id']}/pay", json=CARD, headers=shop.admin)
            assert by_admin.status_code == 403
            assert (await move(shop, mine["id"], "confirmed", shop.bearer(7))).status_code == 403
            assert (await move(shop, mine["id"], "nonsense", shop.admin)).status_code == 422
            assert (await move(shop, mine["id"], "cancelled", shop.bearer(7))).json()["status"] == "cancelled"
            assert (await pay(shop, mine["id"])).status_code == 409
            by_hand = await move(shop, theirs["id"], "confirmed", shop.admin)
            assert by_hand.json()["status"] == "confirmed"
            assert await stock_of(shop, 2) == 9_999
            assert (await shop.orders.get("/orders", headers=shop.bearer(7))).status_code == 403
            listed = await shop.orders.get("/orders?status=confirmed&user_id=8", headers=shop.admin)
            assert [order["id"] for order in listed.json()] == [theirs["id"]]
            own = await shop.orders.get("/orders/my-orders?limit=1", headers=shop.bearer(7))
            assert [order["id"] for order in own.json()] == [mine["id"]]
            assert own.headers["x-total-count"] == "1"

    asyncio.run(main())


def test_old_keys_are_forgotten_and_young_ones_kept(
    start_shop: Any, admin_sql: psycopg.Connection[Any], eventually: Any
) -> None:
    async def main() -> None:
        async with start_shop("orders", "products", overrides={"stores.clean_up": "0.05s"}) as shop:
            order = await ordered(shop, (1, 1))
            assert (await pay(shop, order["id"], **{"idempotency-key": "old"})).status_code == 200
            young = await shop.orders.post(
                "/orders", json=basket((1, 1)), headers=shop.bearer() | {"idempotency-key": "young"}
            )
            admin_sql.execute(
                "UPDATE orders.idempotency_keys SET created_at = created_at - interval '25 hours' WHERE key = 'old'"
            )

            async def kept() -> bool:
                keys = admin_sql.execute("SELECT key FROM orders.idempotency_keys").fetchall()
                return keys == [("young",)]

            await eventually(kept)
            assert (await pay(shop, order["id"], **{"idempotency-key": "old"})).status_code == 409  # and not charged
            again = await shop.orders.post(
                "/orders", json=basket((1, 1)), headers=shop.bearer() | {"idempotency-key": "young"}
            )
            assert again.json() == young.json()

    asyncio.run(main())


def test_idempotency_keys(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products") as shop:

            async def post(lines: dict[str, Any], key: str, user: int = 7) -> Any:
                headers = shop.bearer(user) | {"idempotency-key": key}
                return await shop.orders.post("/orders", json=lines, headers=headers)

            answers = await asyncio.gather(*(post(basket((1, 1)), "k1") for _ in range(10)))
            assert {answer.status_code for answer in answers} == {201}
            assert len({answer.text for answer in answers}) == 1
            assert (await post(basket((1, 2)), "k1")).status_code == 422
            assert (await post(basket((1, 1)), "k1", user=8)).json()["id"] != answers[0].json()["id"]
            order_id = answers[0].json()["id"]
            key = {"idempotency-key": "p1"}
            paid = await asyncio.gather(*(pay(shop, order_id, **key) for _ in range(5)))
            first = [answer for answer in paid if answer.status_code == 200]
            assert first
            assert {answer.status_code for answer in paid} <= {200, 409}
            again = await pay(shop, order_id, **key)
            assert (again.status_code, again.text) == (200, first[0].text)
            assert (await pay(shop, order_id)).status_code == 409
            assert await shop.metric("orders", "orders_created_total") == 2

    asyncio.run(main())


def test_rush_for_the_last_ten(start_shop: Any, admin_sql: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products") as shop:
            await shop.products.patch("/products/3/stock", json={"stock": 10}, headers=shop.admin)

            async def buy(user: int) -> int:
                order = await ordered(shop, (3, 1), user=user)
                return (await pay(shop, order["id"], user=user)).status_code  # type: ignore[no-any-return]

            statuses = await asyncio.gather(*(buy(user) for user in range(100, 150)))
            assert (statuses.count(200), statuses.count(409)) == (10, 40)
            assert await stock_of(shop, 3) == 0
            (payments,) = admin_sql.execute("SELECT count(*) FROM orders.payments").fetchone()
            assert payments == 10

    asyncio.run(main())


def test_taking_stock_at_once_is_a_switch(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products", overrides={"products.atomic_stock": "off"}) as shop:
            await shop.products.patch("/products/3/stock", json={"stock": 2}, headers=shop.admin)
            answers = [await pay(shop, (await ordered(shop, *lines))["id"]) for lines in [[(3, 1)], [(3, 2), (4, 1)]]]
            assert [answer.status_code for answer in answers] == [200, 409]  # one after the other it does no harm
            assert [await stock_of(shop, product) for product in (3, 4)] == [1, 10_000]
            assert (await pay(shop, answers[0].json()["id"])).status_code == 409

    asyncio.run(main())


def test_charging_once_is_a_switch(start_shop: Any, admin_sql: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products", overrides={"orders.charge_once": "off"}) as shop:
            order = await ordered(shop, (1, 1))
            key = {"idempotency-key": "the same"}
            assert [(await pay(shop, order["id"], **key)).status_code for _ in range(2)] == [200, 200]
            (amount,) = admin_sql.execute("SELECT amount FROM orders.payments").fetchone()
            assert amount == 2 * Decimal("129.99")

    asyncio.run(main())


def test_paying_at_the_same_time_charges_once(start_shop: Any, admin_sql: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products") as shop:
            order = await ordered(shop, (1, 1))
            answers = await asyncio.gather(*(pay(shop, order["id"]) for _ in range(20)))
            statuses = [answer.status_code for answer in answers]
            assert (statuses.count(200), statuses.count(409)) == (1, 19)
            (payments,) = admin_sql.execute("SELECT count(*) FROM orders.payments").fetchone()
            assert payments == 1
            assert await stock_of(shop, 1) == 9_999

    asyncio.run(main())


def test_cancelling_while_paying_keeps_no_stock(start_shop: Any, fresh_broker: Broker, eventually: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products", kafka=fresh_broker.address) as shop:
            orders = [await ordered(shop, (1, 1)) for _ in range(10)]
            pairs = await asyncio.gather(
                *(pay(shop, order["id"]) for order in orders),
                *(move(shop, order["id"], "cancelled", shop.bearer()) for order in orders),
            )
            assert all(answer.status_code in (200, 409) for answer in pairs)
            for order in orders:
                await move(shop, order["id"], "cancelled", shop.bearer())

            async def all_back() -> bool:
                return await stock_of(shop, 1) == 10_000

            await eventually(all_back, 20)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("behaviour", "status"), [("refuse", 503), ("silent", 504), ("cut", 502), ("503", 503), ("500", 502)]
)
def test_without_products_nothing_is_half_done(start_shop: Any, admin_sql: Any, behaviour: str, status: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if behaviour.isdigit():
            writer.write(f"HTTP/1.1 {behaviour} Trouble\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        elif behaviour == "silent":
            await reader.read()  # until the caller has given up
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        if behaviour == "refuse":
            server.close()
        admin_sql.execute("INSERT INTO orders.orders (user_id, total_amount) VALUES (7, 1)")
        admin_sql.execute(
            "INSERT INTO orders.order_items (order_id, product_id, product_name, quantity, price) "
            "VALUES (1, 1, 'x', 1, 1)"
        )
        limits = {"orders.timeout": 0.1, "orders.retry_attempts": 1}
        async with server, start_shop("orders", urls={"products": url}, overrides=limits) as shop:
            created = await shop.orders.post("/orders", json=basket((1, 1)), headers=shop.bearer())
            paid = await pay(shop, 1)
            assert (created.status_code, paid.status_code) == (status, status)
            assert paid.json()["error"]
            assert "127.0.0.1" not in paid.text
            assert (await shop.orders.get("/orders/1", headers=shop.bearer())).json()["status"] == "awaiting_payment"
            (payments,) = admin_sql.execute("SELECT count(*) FROM orders.payments").fetchone()
            assert payments == 0
            assert await shop.metric("orders", "order_payments_total", status="failed") == 1

    asyncio.run(main())


@pytest.mark.parametrize(("switches", "calls"), [({}, 4), ({"orders.retries": False}, 1)])
def test_retries_are_a_switch(settings_for: Any, switches: dict[str, object], calls: int) -> None:
    class FailingClient:
        attempts: list[int]

        async def request(self, *_arguments: object, attempt: int, **_more: object) -> Response:
            self.attempts.append(attempt)
            return Response(503, [], b"{}")

    class ServiceParts:
        settings = settings_for("orders", {"products": "http://unused"}, switches, "")
        http = FailingClient()

        class tokens:  # noqa: N801
            @staticmethod
            def header() -> tuple[bytes, bytes]:
                return b"x", b"y"

    ServiceParts.http.attempts = []

    async def main() -> None:
        with pytest.raises(Exception, match="not available"):
            await ProductsClient(ServiceParts()).prices([1])  # type: ignore[arg-type]
        assert ServiceParts.http.attempts == list(range(calls))

    asyncio.run(main())


def test_database_away_is_503_and_comes_back(start_shop: Any, admin_sql: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products") as shop:
            order = await ordered(shop, (1, 1))
            admin_sql.execute("ALTER ROLE orders NOLOGIN")
            try:
                admin_sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'orders'")
                away = await shop.orders.get(f"/orders/{order['id']}", headers=shop.bearer())
                assert away.status_code == 503
                assert away.headers["retry-after"] == "1"
                assert (await shop.orders.get("/ready")).status_code == 503
                assert (await shop.orders.get("/health")).status_code == 200
            finally:
                admin_sql.execute("ALTER ROLE orders LOGIN")
            assert (await shop.orders.get(f"/orders/{order['id']}", headers=shop.bearer())).status_code == 200
            assert (await shop.orders.get("/ready")).status_code == 200

    asyncio.run(main())


def test_direct_notification_is_a_switch(start_shop: Any, admin_sql: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products", "notifications", overrides={"orders.notify": "direct"}) as shop:
            order = await ordered(shop, (1, 1))
            await pay(shop, order["id"])
            listed = (await shop.notifications.get("/notifications", headers=shop.bearer())).json()
            assert [each["event_type"] for each in listed] == [
                "order.status_changed", "order.payment_confirmed", "order.created",
            ]  # fmt: skip
            stored = admin_sql.execute("SELECT topic, payload FROM orders.outbox ORDER BY id").fetchall()
            events = [decode(topic, payload.encode()) for topic, payload in stored]  # they wait for Kafka all the same
            assert [event.topic for event in events] == [
                "order.created", "order.payment_confirmed", "order.status_changed",
            ]  # fmt: skip
            assert json.loads(stored[0][1])["total_amount"] == 129.99

    asyncio.run(main())


def test_reset_keeps_counting_ids(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("orders", "products") as shop:
            first = await ordered(shop, (1, 1))
            assert (await shop.orders.post("/internal/reset", headers=shop.internal)).status_code == 204
            assert (await shop.orders.get("/orders", headers=shop.admin)).json() == []
            assert (await ordered(shop, (1, 1)))["id"] > first["id"]

    asyncio.run(main())
