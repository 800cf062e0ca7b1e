"""Sessions and the pool: transactions, a bounded number of connections, lost and silent servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import MetaData

from cloudcart.exceptions import OutcomeUnknownError, StoreError
from cloudcart.stores import database as database_module
from cloudcart.stores import pool as pool_module
from cloudcart.stores.database import Database, conninfo
from cloudcart.stores.schema import url_for_role
from cloudcart.telemetry.metrics import Telemetry


@asynccontextmanager
async def opened(url: str, size: int = 2) -> AsyncIterator[Database]:
    database = Database(url, size, Telemetry("test"))
    try:
        yield database
    finally:
        await database.close()


def test_a_transaction_happens_or_not(database_url: str) -> None:
    async def main() -> None:
        async with opened(database_url) as database:
            async with database.transaction() as session:
                assert await session.run("INSERT INTO things (name) VALUES (%s)", ("a",)) == 1
            with suppress(ZeroDivisionError):
                async with database.transaction() as session:
                    await session.run("INSERT INTO things (name) VALUES ('b')")
                    raise ZeroDivisionError
            with pytest.raises(psycopg.errors.UniqueViolation):
                async with database.transaction() as session:
                    await session.run("INSERT INTO things (name) VALUES ('c'), ('a')")
            async with database.session() as session:
                assert await session.rows("SELECT name FROM things") == [{"name": "a"}]
                assert await session.row("SELECT name FROM things WHERE id = %(id)s", {"id": 99}) is None

    asyncio.run(main())


def test_connections_are_bounded_and_used_again(database_url: str, admin_sql: Any) -> None:
    async def main() -> None:
        async with opened(database_url, size=2) as database:

            async def work() -> int:
                async with database.session() as session:
                    row = await session.row("SELECT pg_backend_pid() AS pid, pg_sleep(0.01)")
                    assert row is not None
                    return row["pid"]  # type: ignore[no-any-return]

            pids = await asyncio.gather(*(work() for _ in range(20)))
            assert len(set(pids)) == 2

    asyncio.run(main())


def test_a_connection_that_was_cut_while_idle_is_not_handed_out(database_url: str, admin_sql: Any) -> None:
    async def main() -> None:
        async with opened(database_url) as database:
            await database.ping()
            admin_sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'drawer'")
            for _ in range(50):  # until the end of the connection has arrived here
                with suppress(StoreError):
                    await database.ping()
                    break
                await asyncio.sleep(0.01)
            await database.ping()

    asyncio.run(main())


def test_a_connection_that_is_cut_in_use_is_a_store_error(database_url: str, admin_sql: Any) -> None:
    async def cut_in_transaction(database: Database, *, at_commit: bool) -> None:
        async with database.transaction() as session:
            await session.run("INSERT INTO things (name) VALUES ('lost')")
            admin_sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'drawer'")
            if not at_commit:
                await session.run("SELECT 1")

    async def main() -> None:
        async with opened(database_url, size=1) as database:
            with pytest.raises(StoreError):
                await cut_in_transaction(database, at_commit=False)
            async with database.session() as session:  # the pool has made room for a new one
                assert await session.rows("SELECT * FROM things") == []
            with pytest.raises(OutcomeUnknownError):
                await cut_in_transaction(database, at_commit=True)

    asyncio.run(main())


def test_nobody_listens(database_url: str) -> None:
    async def main() -> None:
        async with opened("postgresql+psycopg://nobody@127.0.0.1:9/postgres") as database:
            with pytest.raises(StoreError, match="connection"):
                await database.ping()

    asyncio.run(main())


def test_a_silent_server_is_given_up(postgres: Any, relay_to: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_CONNECT", 0.3)

    async def main() -> None:
        relay = relay_to(lambda: asyncio.open_unix_connection(postgres.directory / ".s.PGSQL.5432"))
        relay.silent = True
        async with relay.listening() as port, opened(f"postgresql+psycopg://x@127.0.0.1:{port}/postgres") as database:
            with pytest.raises(StoreError):
                await database.ping()

    asyncio.run(main())


def test_a_link_that_falls_silent_is_cut(
    database_url: str, postgres: Any, relay_to: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own time limit cannot help when its answer never arrives."""
    monkeypatch.setattr(database_module, "_DEADLINE", 0.3)

    async def main() -> None:
        relay = relay_to(lambda: asyncio.open_unix_connection(postgres.directory / ".s.PGSQL.5432"))
        async with relay.listening() as port:
            url = f"postgresql+psycopg://drawer@127.0.0.1:{port}/postgres"
            async with opened(url, size=1) as database:
                await database.ping()
                relay.silent = True
                with pytest.raises(StoreError):
                    await database.ping()
                relay.silent = False
                await database.ping()

    asyncio.run(main())


def test_a_dedicated_session_keeps_its_locks_to_itself(database_url: str) -> None:
    async def main() -> None:
        lock = "SELECT pg_try_advisory_lock(1) AS locked"
        async with opened(database_url, size=1) as database:
            async with database.dedicated_session() as one:
                assert await one.row(lock) == {"locked": True}
                async with database.session() as other:
                    assert await other.row(lock) == {"locked": False}
            async with database.session() as other:  # the end of the session was the end of the lock
                for _ in range(100):
                    if await other.row(lock) == {"locked": True}:
                        return
                    await asyncio.sleep(0.01)
                pytest.fail("the lock outlived its session")

    asyncio.run(main())


def test_a_role_sees_only_its_own_schema(admin_url: str, database_url: str, create_schema: Callable[..., None]) -> None:
    create_schema("neighbour", MetaData())

    async def main() -> None:
        async with opened(url_for_role(admin_url, "neighbour")) as database, database.session() as session:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await session.rows("SELECT * FROM drawer.things")

    asyncio.run(main())


def test_schema_can_be_created_again(create_schema: Callable[..., None]) -> None:
    create_schema("neighbour", MetaData(), password="it's secret")
    create_schema("neighbour", MetaData())


def test_conninfo_escapes() -> None:
    made = conninfo("postgresql+psycopg://me:p%20w'@/shop?host=%2Ftmp%2Fa%20b&port=5433")
    parsed = psycopg.conninfo.conninfo_to_dict(made)
    assert (parsed["host"], parsed["password"], parsed["port"]) == ("/tmp/a b", "p w'", 5433) or parsed[
        "port"
    ] == "5433"


def test_statements_and_pool_are_measured(database_url: str) -> None:
    async def main() -> None:
        telemetry = Telemetry("test")
        database = Database(database_url, 3, telemetry)
        async with database.session() as session:
            await session.run("SELECT 1")
            text = telemetry.exposition().decode()
        await database.close()
        assert 'db_query_duration_seconds_count{service="test"} 1.0' in text
        assert "db_pool_size 3.0" in text
        assert "db_pool_in_use 1.0" in text

    asyncio.run(main())
