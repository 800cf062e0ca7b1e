"""The inbox: an event has its effect once, and none at all after a reset."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from cloudcart.events import UserCreated
from cloudcart.stores.database import Database
from cloudcart.stores.inbox import MOVE_WATERMARK, admit
from cloudcart.telemetry.metrics import Telemetry


def greet(number: int, age: float = 0) -> UserCreated:
    occurred_at = datetime.now(UTC) - timedelta(seconds=age)
    return UserCreated(service="test", user_id=number, username="u", email="e", occurred_at=occurred_at)


def test_each_event_once(database_url: str) -> None:
    async def main() -> None:
        database = Database(database_url, 4, Telemetry("test"))
        events = [greet(number) for number in range(5)]

        async def handle(batch: list[UserCreated]) -> list[UserCreated]:
            async with database.transaction() as session:
                return await admit(session, batch)

        try:
            assert await handle([events[0], events[1], events[0]]) == events[:2]
            together = await asyncio.gather(*(handle(events) for _ in range(4)))
            assert sorted(event.user_id for batch in together for event in batch) == [2, 3, 4]
            async with database.transaction() as session:
                await session.run("TRUNCATE inbox")
                await session.run(MOVE_WATERMARK)
            assert await handle([greet(8, age=1), greet(9, age=-1)]) != []
            assert await handle(events) == []
            assert await handle([]) == []
        finally:
            await database.close()

    asyncio.run(main())
