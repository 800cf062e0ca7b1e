"""A schema of its own for tests of the stores, on the PostgreSQL of the test process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text

from cloudcart.lab.postgres import Postgres
from cloudcart.stores.database import conninfo
from cloudcart.stores.inbox import inbox_tables
from cloudcart.stores.outbox import outbox_table
from cloudcart.stores.schema import role_statements, run_together, table_statements, url_for_role

SCHEMA = "drawer"


@pytest.fixture(scope="session")
def admin_url(postgres: Postgres) -> str:
    return postgres.url(driver="+psycopg")


@pytest.fixture
def admin_sql(admin_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(conninfo(admin_url), autocommit=True) as connection:
        yield connection


@pytest.fixture
def create_schema(admin_sql: psycopg.Connection[Any]) -> Callable[..., None]:
    """Return a function that gives a role a schema with tables, as far as they are missing."""

    def create(name: str, metadata: MetaData, password: str | None = None) -> None:
        run_together(admin_sql, (*role_statements(name, password), *table_statements(name, metadata)))

    return create


@pytest.fixture
def database_url(admin_url: str, admin_sql: psycopg.Connection[Any], create_schema: Callable[..., None]) -> str:
    """The database as a role with a schema that has a table, an outbox and an inbox, all empty."""
    metadata = MetaData()
    Table("things", metadata, Column("id", Integer, primary_key=True), Column("name", Text, unique=True))
    outbox_table(metadata)
    inbox_tables(metadata)
    admin_sql.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    create_schema(SCHEMA, metadata)
    return url_for_role(admin_url, SCHEMA)


class Relay:
    """A TCP relay that a test can silence; its connections end with the block."""

    def __init__(self, connect: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]) -> None:
        self.silent = False
        self._connect = connect
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._relay(reader, writer))
        self._tasks.add(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, to_upstream = await self._connect()
        try:
            pumps = [self._pump(reader, to_upstream), self._pump(upstream, writer)]
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            for each in (writer, to_upstream):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if not self.silent:
                sink.write(data)
        sink.close()


@pytest.fixture
def relay_to() -> type[Relay]:
    return Relay


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Awaitable[Any]]:
    async def wait_for(condition: Callable[[], Awaitable[Any]], patience: float = 10.0) -> Any:
        deadline = time.monotonic() + patience
        while True:
            seen = await condition()
            if seen:
                return seen
            assert time.monotonic() < deadline, f"still {seen!r} after {patience:g} s"
            await asyncio.sleep(0.02)

    return wait_for
