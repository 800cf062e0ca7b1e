"""PostgreSQL as a service uses it: a :class:`Database` gives sessions, a :class:`Session` runs statements.

Statements are plain SQL that psycopg sends as prepared statements; tables are declared with SQLAlchemy Core beside each
service (``services.*.tables``) and created by ``stores.schema``. A session is the *store* place: all a service asks of
its database goes through it, timed and with the driver's errors translated.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString, Self

import psycopg
from prometheus_client import Gauge
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from cloudcart.exceptions import OutcomeUnknownError, StoreError
from cloudcart.stores.pool import ConnectionPool, Cursor
from cloudcart.telemetry.metrics import Durations, Telemetry

Row = dict[str, Any]
Parameters = Mapping[str, object] | Sequence[object] | None

_STATEMENT_TIMEOUT: Final = 5_000  # milliseconds; then the server gives up on a statement
_DEADLINE: Final = 6.0  # seconds; a connection is cut then, so that a silent link holds no session for ever
_SILENCE: Final = 5_000  # milliseconds; TCP gives up on a server that acknowledges nothing


class Session:
    """One connection, for the time of one ``async with``. Parameters are ``%s`` or ``%(name)s``, as in psycopg."""

    __slots__ = ("_cursor", "_durations")

    def __init__(self, cursor: Cursor, durations: Durations) -> None:
        self._cursor = cursor
        self._durations = durations

    @classmethod
    def on(cls, other: Session) -> Self:
        """Return a session of this class on the connection of another."""
        return cls(other._cursor, other._durations)

    async def rows(self, sql: LiteralString, parameters: Parameters = None) -> list[Row]:
        """Run a statement and return its rows, each a dictionary by column name."""
        return await (await self._execute(sql, parameters)).fetchall()

    async def row(self, sql: LiteralString, parameters: Parameters = None) -> Row | None:
        """Run a statement and return its first row, or None."""
        return await (await self._execute(sql, parameters)).fetchone()

    async def run(self, sql: LiteralString, parameters: Parameters = None) -> int:
        """Run a statement and return how many rows it touched."""
        return (await self._execute(sql, parameters)).rowcount

    async def _execute(self, sql: LiteralString, parameters: Parameters) -> Cursor:
        started = time.perf_counter()
        deadline = asyncio.get_running_loop().call_later(_DEADLINE, _cut, self._cursor)
        try:
            return await self._cursor.execute(sql, parameters)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise StoreError("PostgreSQL did not carry out a statement") from error
        finally:
            deadline.cancel()
            self._durations.observe(time.perf_counter() - started)


class Database:
    """One service's own schema in PostgreSQL.

    Args:
        url: SQLAlchemy URL, as the service's own role.
        pool_size: connections open at the same time, at most.
        telemetry: where statement times and the pool's use are counted.
    """

    def __init__(self, url: str, pool_size: int, telemetry: Telemetry) -> None:
        self._pool = ConnectionPool(conninfo(url), pool_size)
        self._durations = telemetry.db_query_duration_seconds.labels()
        in_use = Gauge("db_pool_in_use", "Database connections in use.", registry=telemetry.registry)
        in_use.set_function(lambda: self._pool.in_use)
        Gauge("db_pool_size", "Database connections at most.", registry=telemetry.registry).set(pool_size)

    @asynccontextmanager
    async def session(self, *, writes: bool = False) -> AsyncIterator[Session]:
        """Give a session in which each statement is its own transaction.

        Args:
            writes: a statement changes something, so that it matters whether it was carried out.

        Raises:
            StoreError: PostgreSQL is not there, or gave up; nothing happened.
            OutcomeUnknownError: the connection broke during a write.
        """
        cursor = await self._pool.acquire()
        try:
            yield Session(cursor, self._durations)
        except StoreError as error:
            if writes and cursor.connection.closed:
                raise OutcomeUnknownError("the connection to PostgreSQL broke during a write") from error
            raise
        finally:
            await self._pool.release(cursor)

    @asynccontextmanager
    async def dedicated_session(self) -> AsyncIterator[Session]:
        """Give a session on a connection of its own, beside the pool; it ends with the block, and its locks with it."""
        cursor = await self._pool.connect()
        try:
            yield Session(cursor, self._durations)
        finally:
            await cursor.connection.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Give a session whose statements happen together when the block ends well, and not at all otherwise.

        Raises:
            StoreError: PostgreSQL is not there, or gave up; nothing happened.
            OutcomeUnknownError: the connection broke during the commit.
        """
        async with self.session() as session:
            await session.run("BEGIN")
            try:
                yield session
            except BaseException:
                await _roll_back(session)
                raise
            await _commit(session)

    async def ping(self) -> None:
        """Do nothing if PostgreSQL answers; raises as :meth:`session` if not."""
        async with self.session() as session:
            await session.run("SELECT 1")

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()


def _cut(cursor: Cursor) -> None:
    """End a connection from below: psycopg answers a cancellation by waiting for the server, which may be silent."""
    if not cursor.connection.closed:
        with socket.socket(fileno=os.dup(cursor.connection.pgconn.socket)) as link:
            link.shutdown(socket.SHUT_RDWR)


async def _roll_back(session: Session) -> None:
    try:
        await session.run("ROLLBACK")
    except StoreError:
        return  # the connection is gone, and with it the transaction; the pool will close it


async def _commit(session: Session) -> None:
    try:
        await session.run("COMMIT")
    except StoreError as error:
        raise OutcomeUnknownError("the connection to PostgreSQL broke during a commit") from error


def conninfo(url: str) -> str:
    """Return libpq's connection string for a SQLAlchemy URL, with the time limits that every connection has."""
    parts = make_url(url)
    options: dict[str, Any] = {
        "host": parts.host,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
        "dbname": parts.database,
        **parts.query,
    }
    options.setdefault("options", f"-c statement_timeout={_STATEMENT_TIMEOUT} -c timezone=UTC")
    options.setdefault("tcp_user_timeout", _SILENCE)
    return make_conninfo(**{name: value for name, value in options.items() if value is not None})
