"""Old rows are forgotten in batches; what is kept still guards against repeats meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry

from cloudcart.events import UserCreated
from cloudcart.stores.database import Database
from cloudcart.stores.inbox import admit, inbox_retention
from cloudcart.stores.retention import CleanUp
from cloudcart.telemetry.metrics import Telemetry

KEEP = 3600.0


def event(number: int, age: float) -> UserCreated:
    occurred_at = datetime.now(UTC) - timedelta(seconds=age)
    return UserCreated(service="test", user_id=number, username="u", email="e", occurred_at=occurred_at)


def test_old_rows_go_in_batches_and_repeats_of_kept_ones_have_no_effect(
    database_url: str, admin_sql: psycopg.Connection[Any]
) -> None:
    young = [event(number, age=60) for number in range(300)]
    old = [event(number, age=2 * KEEP) for number in range(2300)]
    registry = CollectorRegistry()

    async def main() -> None:
        telemetry = Telemetry("test", registry)
        database = Database(database_url, 6, telemetry)

        async def handle(events: list[UserCreated]) -> int:
            async with database.transaction() as session:
                return len(await admit(session, events))

        async def repeat(clean_ups: list[asyncio.Task[None]]) -> None:
            while not all(task.done() for task in clean_ups):
                assert await handle(young) == 0

        try:
            assert await handle(young) + await handle(old) == 2600
            admin_sql.execute(
                "UPDATE drawer.inbox SET handled_at = handled_at - interval '2 hours' WHERE event_id = ANY(%s)",
                ([each.event_id for each in old],),
            )
            clean_up = CleanUp(database, [inbox_retention(KEEP)], telemetry)
            tasks = [asyncio.create_task(clean_up.run()) for _ in range(2)]
            await repeat(tasks)
            await asyncio.gather(*tasks)
            await clean_up.run()
            assert await handle(young) == 0
        finally:
            await database.close()

    asyncio.run(main())
    assert admin_sql.execute("SELECT count(*) FROM drawer.inbox").fetchone() == (len(young),)
    assert registry.get_sample_value("expired_rows_deleted_total", {"table": "inbox"}) == len(old)


def test_the_clean_up_finds_old_rows_by_an_index(database_url: str, admin_sql: psycopg.Connection[Any]) -> None:
    admin_sql.execute("INSERT INTO drawer.inbox (event_id) SELECT gen_random_uuid() FROM generate_series(1, 5000)")
    admin_sql.execute("ANALYZE drawer.inbox")
    admin_sql.execute("SET search_path = drawer")
    delete = inbox_retention(KEEP).delete
    plan = admin_sql.execute(f"EXPLAIN {delete}", {"keep": KEEP, "batch": 1000}).fetchall()
    admin_sql.execute("RESET search_path")
    assert "Seq Scan" not in str(plan), plan
    assert "inbox_by_age" in str(plan)
