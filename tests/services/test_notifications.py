"""The worker: every event once in effect, dead letters, live stream, resets, faults on messages, lost brokers."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
from confluent_kafka import Consumer

from cloudcart.asyncapi import asyncapi_document
from cloudcart.events import ChaosCleared, Event, OrderCreated, OrderStatusChanged, UserCreated, encode
from cloudcart.lab.broker import Broker
from cloudcart.services.notifications.models import Notification
from cloudcart.services.notifications.stream import Listeners, server_sent_events
from cloudcart.services.security import Principal, TokenSigner
from cloudcart.stores.publisher import Message, Publisher, message_of

JOINING = 20.0  # seconds that a consumer may take until it has its partitions


def welcome(user_id: int, **more: Any) -> UserCreated:
    return UserCreated(service="users", user_id=user_id, username=f"user{user_id}", email="a@b.example", **more)


def moved(order_id: int, user_id: int = 7) -> OrderStatusChanged:
    return OrderStatusChanged(
        service="orders", order_id=order_id, user_id=user_id, old_status="a", new_status="b", message="It moved."
    )


async def publish(address: str, *messages: Message | Event) -> None:
    publisher = Publisher(address, "test")
    try:
        plain = [message_of(each) if isinstance(each, Event) else each for each in messages]
        assert all(await publisher.publish(plain))
    finally:
        await publisher.close()


async def messages_of(shop: Any, user_id: int = 7) -> list[str]:
    listed = await shop.notifications.get("/notifications", headers=shop.bearer(user_id))
    return [each["message"] for each in reversed(listed.json())]


def test_events_become_notifications_once(start_shop: Any, fresh_broker: Broker, eventually: Any) -> None:
    async def main() -> None:
        async with start_shop("notifications", kafka=fresh_broker.address) as shop:
            order = OrderCreated(service="orders", order_id=1, user_id=7, total_amount="12.50", items=())
            nobodys = ChaosCleared(service="chaos", fault_id="f", reason="healed", injected_count=1)
            twice = moved(1)
            await publish(fresh_broker.address, welcome(7), order, twice, twice, nobodys, moved(2, user_id=8))

            async def all_there() -> bool:
                return len(await messages_of(shop)) == 3 and len(await messages_of(shop, 8)) == 1

            await eventually(all_there, JOINING)
            assert set(await messages_of(shop)) == {
                "Welcome to CloudCart, user7.",
                "We have your order 1 over 12.50.",
                "Order 1: It moved.",
            }
            assert (await shop.notifications.get("/notifications")).status_code == 401

            async def counted() -> bool:
                topic = "order.status_changed"
                handled = await shop.metric(
                    "notifications", "kafka_events_consumed_total", topic=topic, outcome="handled"
                )
                ignored = await shop.metric(
                    "notifications", "kafka_events_consumed_total", topic=topic, outcome="ignored"
                )
                return (handled, ignored) == (2, 1)

            await eventually(counted)
            assert await shop.metric("notifications", "event_end_to_end_seconds_count", topic="chaos.cleared") == 1

    asyncio.run(main())


def test_unreadable_messages_are_set_aside_and_the_rest_flows_on(
    start_shop: Any, fresh_broker: Broker, eventually: Any
) -> None:
    async def main() -> None:
        async with start_shop("notifications", kafka=fresh_broker.address) as shop:
            headers = {"x": "y"}
            unstorable = UserCreated(service="users", user_id=7, username="nul\x00", email="a@b.example")
            await publish(
                fresh_broker.address,
                Message("user.created", b"7", b"\xff\xfe no json", headers),
                Message("order.created", None, b'{"order_id": "x"}'),
                unstorable,
                welcome(7),
            )

            async def welcomed() -> bool:
                return await messages_of(shop) == ["Welcome to CloudCart, user7."]

            await eventually(welcomed, JOINING)

            async def set_aside() -> bool:
                return (
                    await shop.metric(
                        "notifications", "kafka_events_consumed_total", topic="user.created", outcome="dead_letter"
                    )
                    == 2
                )

            await eventually(set_aside)

    asyncio.run(main())
    letters = dict(messages_on(fresh_broker.address, "user.created.dlq", 2))
    headers = letters[b"\xff\xfe no json"]
    assert headers["topic"] == "user.created"
    assert headers["offset"].isdigit()
    assert headers["partition"].isdigit()
    assert "user.created" in headers["error"]
    schemas = asyncapi_document()["components"]["schemas"]
    for letter in letters.values():
        jsonschema.validate(letter, schemas["DeadLetterHeaders"])
    written = messages_on(fresh_broker.address, "user.created", 3)
    jsonschema.validate(written[-1][1], schemas["Headers"])


def test_without_dead_letters_everything_behind_a_poison_message_waits(
    start_shop: Any, fresh_broker: Broker, eventually: Any
) -> None:
    async def main() -> None:
        switched_off = {"notifications.dead_letters": "off"}
        async with start_shop("notifications", kafka=fresh_broker.address, overrides=switched_off) as shop:
            await publish(fresh_broker.address, welcome(7))

            async def welcomed() -> bool:
                return bool(await messages_of(shop))

            await eventually(welcomed, JOINING)
            await publish(fresh_broker.address, Message("user.created", b"7", b"no json"), welcome(7))

            async def behind() -> bool:
                return await shop.metric("notifications", "kafka_consumergroup_lag", topic="user.created") == 2

            await eventually(behind)
            assert len(await messages_of(shop)) == 1

    asyncio.run(main())


def messages_on(address: str, topic: str, count: int) -> list[tuple[bytes, dict[str, str]]]:
    reader = Consumer({"bootstrap.servers": address, "group.id": f"reader of {topic}", "auto.offset.reset": "earliest"})
    reader.subscribe([topic])
    try:
        found = reader.consume(count, timeout=JOINING)
        return [(each.value(), {name: value.decode() for name, value in each.headers()}) for each in found]
    finally:
        reader.close()


def test_reset_makes_earlier_events_history(start_shop: Any, fresh_broker: Broker, eventually: Any) -> None:
    async def main() -> None:
        async with start_shop("notifications", kafka=fresh_broker.address) as shop:
            await publish(fresh_broker.address, welcome(7))

            async def welcomed() -> bool:
                return bool(await messages_of(shop))

            await eventually(welcomed, JOINING)
            late = welcome(7, occurred_at=datetime.now(UTC) - timedelta(seconds=1))
            assert (await shop.notifications.post("/internal/reset", headers=shop.internal)).status_code == 204
            assert await messages_of(shop) == []
            await publish(fresh_broker.address, late, moved(1))

            async def later_ones() -> bool:
                return await messages_of(shop) == ["Order 1: It moved."]

            await eventually(later_ones)

    asyncio.run(main())


def test_direct_delivery_and_later_event_have_one_effect(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("notifications") as shop:
            event = moved(1)
            document = {"topic": event.topic, "event": json.loads(encode(event))}
            for _ in range(2):
                answer = await shop.notifications.post("/internal/handle", json=document, headers=shop.internal)
                assert answer.status_code == 204
            assert await messages_of(shop) == ["Order 1: It moved."]
            assert (await shop.notifications.post("/internal/handle", json=document)).status_code == 401
            bad = await shop.notifications.post(
                "/internal/handle", json={"topic": "no.such", "event": {}}, headers=shop.internal
            )
            assert bad.status_code == 422

    asyncio.run(main())


def test_stream(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("notifications") as shop:

            async def deliver(event: Event) -> None:
                document = {"topic": event.topic, "event": json.loads(encode(event))}
                await shop.notifications.post("/internal/handle", json=document, headers=shop.internal)

            await deliver(moved(1))
            await deliver(moved(2))
            first = (await shop.notifications.get("/notifications", headers=shop.bearer())).json()[-1]["id"]
            headers = shop.bearer() | {"last-event-id": str(first)}
            async with shop.notifications.stream("GET", "/notifications/stream", headers=headers) as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                lines = stream.aiter_lines()
                seen: list[str] = []
                async for line in lines:
                    if line.startswith("data: "):
                        seen.append(json.loads(line[6:])["message"])
                        if len(seen) == 1:
                            await deliver(moved(3, user_id=8))
                            await deliver(moved(4))
                        else:
                            break
            assert seen == ["Order 2: It moved.", "Order 4: It moved."]

    asyncio.run(main())


def test_a_stream_leaves_nothing_out_of_what_was_missed(start_shop: Any, admin_sql: Any) -> None:
    async def main() -> None:
        async with start_shop("notifications") as shop:
            admin_sql.execute(
                "INSERT INTO notifications.notifications (user_id, event_id, event_type, message, details, occurred_at)"
                " SELECT 7, gen_random_uuid(), 'order.created', n::text, '{}', now() FROM generate_series(1, 1200) AS n"
            )
            headers, seen = shop.bearer() | {"last-event-id": "0"}, []
            async with shop.notifications.stream("GET", "/notifications/stream", headers=headers) as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("data: "):
                        seen.append(int(json.loads(line[6:])["message"]))
                        if seen[-1] == 1200:
                            break
            assert seen == list(range(1, 1201))

    asyncio.run(main())


def told(number: int) -> Notification:
    now = datetime.now(UTC)
    return Notification(id=number, user_id=7, event_type="x", message="m", details={}, occurred_at=now, created_at=now)


def test_the_stream_of_a_client_that_is_too_slow_ends_where_it_can_go_on() -> None:
    async def nothing() -> AsyncIterator[Notification]:
        for number in range(0):
            yield told(number)

    async def main() -> None:
        listeners = Listeners()
        with listeners.listen(7) as listener:
            for number in range(1, 301):  # nobody reads meanwhile
                listeners.send(told(number))
            sent = [chunk.split()[1] async for chunk in server_sent_events(listener, nothing(), 60.0)]
        ids = [int(each) for each in sent if each.isdigit()]
        assert ids == list(range(1, len(ids) + 1))
        assert 0 < len(ids) < 300

    asyncio.run(asyncio.wait_for(main(), 10))


def test_a_stream_ends_with_its_token(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("notifications") as shop:
            auth = shop.auth.model_copy(update={"token_lifetime": 6.0})
            token = TokenSigner(auth).issue(Principal(7, "user7", is_admin=False))
            headers = {"authorization": f"Bearer {token}"}
            async with shop.notifications.stream("GET", "/notifications/stream", headers=headers) as stream:
                lines = [line async for line in stream.aiter_lines()]  # until it ends
            assert lines[0] == ": listening"
            assert (await shop.notifications.get("/notifications", headers=headers)).status_code == 401

    asyncio.run(main())


def test_nobody_has_all_the_streams(start_shop: Any, eventually: Any) -> None:
    async def main() -> None:
        async with start_shop("notifications") as shop, AsyncExitStack() as opened:
            lines: list[AsyncIterator[str]] = []

            async def open_one(user_id: int = 7) -> int:
                request = shop.notifications.stream("GET", "/notifications/stream", headers=shop.bearer(user_id))
                stream = await opened.enter_async_context(request)
                if stream.status_code == 200:
                    lines.append(stream.aiter_lines())
                    assert await anext(lines[-1]) == ": listening"
                return stream.status_code  # type: ignore[no-any-return]

            assert [await open_one() for _ in range(11)] == [200] * 10 + [429]
            assert await open_one(8) == 200
            await opened.aclose()

            async def has_room() -> bool:
                async with shop.notifications.stream("GET", "/notifications/stream", headers=shop.bearer()) as stream:
                    return stream.status_code == 200  # type: ignore[no-any-return]

            await eventually(has_room)

    asyncio.run(main())


def test_faults_delay_messages(start_shop: Any, fresh_broker: Broker, eventually: Any) -> None:
    async def main() -> None:
        async with start_shop("chaos", "notifications", kafka=fresh_broker.address) as shop:
            expected = 1

            async def handled() -> bool:
                return len(await messages_of(shop)) == expected

            async def lag() -> float:
                return await shop.metric("notifications", "kafka_consumergroup_lag", topic="order.status_changed")

            async def caught_up() -> bool:
                return await lag() == 0

            await publish(fresh_broker.address, welcome(7))
            await eventually(handled, JOINING)
            for target in ("notifications", "kafka:order.status_changed"):
                fault = {"kind": "latency", "target": target, "fixed": "300ms", "ttl": "30s"}
                injected = await shop.chaos.post("/chaos/faults", json=fault, headers=shop.internal)
                assert injected.status_code == 201
                await publish(fresh_broker.address, *(moved(number) for number in range(5)))
                await eventually(lag)
                assert not await handled()
                expected += 5
                await eventually(handled)
                await eventually(caught_up)
                await shop.chaos.delete(f"/chaos/faults/{injected.json()['id']}", headers=shop.internal)

    asyncio.run(main())


def test_outbox_and_worker_outlive_a_paused_broker(start_shop: Any, fresh_broker: Broker, eventually: Any) -> None:
    async def main() -> None:
        async with start_shop("users", "notifications", kafka=fresh_broker.address) as shop:

            async def register(name: str) -> int:
                form = {"username": name, "email": f"{name}@b.example", "password": "long enough"}
                answer = await shop.users.post("/auth/register", json=form)
                assert answer.status_code == 201
                return answer.json()["user"]["id"]  # type: ignore[no-any-return]

            async def greeted(user_id: int) -> bool:
                return bool(await messages_of(shop, user_id))

            first = await register("before")
            await eventually(lambda: greeted(first), JOINING)
            fresh_broker.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
            try:
                later = [await register(f"during{number}") for number in range(3)]

                async def pending() -> bool:
                    waiting = await shop.metric("users", "outbox_pending")
                    return waiting >= 3 and await shop.metric("users", "outbox_oldest_age_seconds") > 0

                await eventually(pending)
            finally:
                fresh_broker.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
            for user_id in later:
                await eventually(lambda user_id=user_id: greeted(user_id), JOINING)

            async def nothing_pending() -> bool:
                return await shop.metric("users", "outbox_pending") == 0

            await eventually(nothing_pending)

    asyncio.run(main())
