"""The outbox: events exist with their transaction, keep their order, and wait for a broker that is not there yet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from cloudcart.events import OrderStatusChanged, UserCreated, decode
from cloudcart.exceptions import StoreError
from cloudcart.stores.database import Database
from cloudcart.stores.outbox import Outbox, waves
from cloudcart.stores.publisher import Message, Publisher
from cloudcart.telemetry.metrics import Telemetry


class Recorder(Publisher):
    """Keeps what it is given; fails on demand."""

    def __init__(self) -> None:
        super().__init__("", "test")
        self.messages: list[Message] = []
        self.away = False
        self.unconfirmed: set[bytes] = set()

    async def publish(self, messages: Any) -> list[bool]:
        if self.away:
            raise StoreError("away")
        outcomes = [message.value not in self.unconfirmed for message in messages]
        self.messages += [message for message, confirmed in zip(messages, outcomes, strict=True) if confirmed]
        self.unconfirmed.clear()
        return outcomes


@asynccontextmanager
async def running(
    url: str, publisher: Publisher, telemetry: Telemetry | None = None, *, durable: bool = True
) -> AsyncIterator[Outbox]:
    telemetry = telemetry or Telemetry("test", CollectorRegistry())
    database = Database(url, 4, telemetry)
    outbox = Outbox(database, publisher, telemetry, durable=durable)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        stack.push_async_callback(publisher.close)
        tasks = [asyncio.create_task(outbox.run()), asyncio.create_task(outbox.measure())]
        try:
            yield outbox
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def moved(order_id: int, number: int) -> OrderStatusChanged:
    return OrderStatusChanged(
        service="test", order_id=order_id, user_id=1, old_status="", new_status="", message=str(number)
    )


def test_events_go_with_their_transaction(database_url: str, eventually: Any) -> None:
    async def main() -> None:
        publisher = Recorder()
        async with running(database_url, publisher) as outbox:
            with suppress(ZeroDivisionError):
                async with outbox.unit_of_work() as work:
                    work.publish(moved(1, 0))
                    raise ZeroDivisionError
            async with outbox.unit_of_work() as work:
                work.publish(moved(1, 1), moved(2, 2))
                await asyncio.sleep(0.05)
                assert publisher.messages == []  # not before the commit

            async def published() -> bool:
                return len(publisher.messages) == 2

            await eventually(published, 2)
            assert [decode(each.topic, each.value).message for each in publisher.messages] == ["1", "2"]  # type: ignore[attr-defined]

    asyncio.run(main())


def test_switched_off_events_are_published_once_and_lost_if_that_fails(database_url: str, admin_sql: Any) -> None:
    async def main() -> None:
        publisher = Recorder()
        async with running(database_url, publisher, durable=False) as outbox:
            async with outbox.unit_of_work() as work:
                work.publish(moved(1, 1))
                assert publisher.messages == []  # not before the commit
            assert len(publisher.messages) == 1
            publisher.away = True
            async with outbox.unit_of_work() as work:
                work.publish(moved(1, 2))
            publisher.away = False
            async with outbox.unit_of_work() as work:
                work.publish(moved(1, 3))
        assert [decode(each.topic, each.value).message for each in publisher.messages] == ["1", "3"]  # type: ignore[attr-defined]
        assert admin_sql.execute("SELECT count(*) FROM drawer.outbox").fetchone() == (0,)

    asyncio.run(main())


def test_an_unconfirmed_event_is_not_overtaken(database_url: str, eventually: Any) -> None:
    async def main() -> None:
        publisher = Recorder()
        publisher.away = True
        async with running(database_url, publisher) as outbox:
            events = [moved(number % 3, number) for number in range(30)]
            for event in events:
                async with outbox.unit_of_work() as work:
                    work.publish(event)
            publisher.unconfirmed.add(events[4].model_dump_json().encode())
            publisher.away = False

            async def published() -> bool:
                return len(publisher.messages) == 30

            await eventually(published)
            for order_id in range(3):
                numbers = [
                    int(decode(each.topic, each.value).message)  # type: ignore[attr-defined]
                    for each in publisher.messages
                    if each.key == str(order_id).encode()
                ]
                assert numbers == sorted(numbers)

    asyncio.run(main())


def test_one_process_relays_and_another_takes_over(database_url: str, eventually: Any) -> None:
    async def main() -> None:
        first, second = Recorder(), Recorder()
        async with running(database_url, second) as standing_by:
            async with running(database_url, first) as leading:
                for outbox in (leading, standing_by):
                    async with outbox.unit_of_work() as work:
                        work.publish(moved(1, 1))

                async def both() -> bool:
                    return len(first.messages) + len(second.messages) == 2

                await eventually(both)
                assert not (first.messages and second.messages)
            async with standing_by.unit_of_work() as work:
                work.publish(moved(1, 2))

            async def all_three() -> bool:
                return len(first.messages) + len(second.messages) == 3

            await eventually(all_three)

    asyncio.run(main())


def test_events_wait_for_a_broker_that_is_not_there_at_first(
    database_url: str, eventually: Any, broker: Any, relay_to: Any
) -> None:
    """The address is a relay's that opens late: the broker cannot be given a port."""
    host, _, port = broker.address.partition(":")
    telemetry = Telemetry("test")

    async def has(name: str, value: float, **labels: str) -> bool:
        return telemetry.registry.get_sample_value(name, labels) == value

    async def main() -> None:
        late_port = free_port()
        async with running(
            database_url, Publisher(f"127.0.0.1:{late_port}", "test", telemetry=telemetry), telemetry
        ) as outbox:
            async with outbox.unit_of_work() as work:
                work.publish(UserCreated(service="test", user_id=1, username="u", email="e"))
            await eventually(lambda: has("outbox_pending", 1))
            assert (telemetry.registry.get_sample_value("outbox_oldest_age_seconds") or 0) >= 0
            relay = relay_to(lambda: asyncio.open_connection(host, int(port)))
            async with relay.listening(late_port):
                # the broker names its own address, so only the first knock goes through the relay
                await eventually(lambda: has("kafka_events_published_total", 1, topic="user.created"))
                await eventually(lambda: has("outbox_pending", 0))

    asyncio.run(main())


def free_port() -> int:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        return placeholder.getsockname()[1]  # type: ignore[no-any-return]


ROWS = st.lists(st.fixed_dictionaries({"topic": st.sampled_from("ab"), "key": st.sampled_from("123")}), max_size=30)


@given(ROWS)
def test_waves_keep_everything_and_its_order(rows: list[dict[str, str]]) -> None:
    numbered = [row | {"id": number} for number, row in enumerate(rows)]
    split = waves(numbered)
    assert sorted(row["id"] for wave in split for row in wave) == list(range(len(rows)))
    for wave in split:
        places = [(row["topic"], row["key"]) for row in wave]
        assert len(set(places)) == len(places)
    for place in {(row["topic"], row["key"]) for row in rows}:
        ids = [row["id"] for wave in split for row in wave if (row["topic"], row["key"]) == place]
        assert ids == sorted(ids)


def test_publishing_to_nobody_is_a_store_error() -> None:
    async def main() -> None:
        with pytest.raises(StoreError):
            await Publisher("127.0.0.1:9", "test").publish([Message("t", None, b"")])

    asyncio.run(main())
