"""What the control plane does to the stores themselves, with the rights of their administrator.

Carries out faults like ``db_lock`` (:class:`cloudcart.faults.places.Administrator`) on connections of its own, made
when needed. Whatever is held ends with its connection, also when this process is killed or stopped.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from cloudcart.chaos.process import AskSupervisor
from cloudcart.exceptions import FaultError, LabError, RefusedError, StoreError
from cloudcart.faults import BrokerKill, DbLock, Fault
from cloudcart.settings import Stores
from cloudcart.stores.database import conninfo
from cloudcart.stores.redis_connection import connect

_PATIENCE: Final = 3.0  # seconds for a store to answer
_SILENCE: Final = 5.0
_BEAT: Final = 1.0

_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename"
_END: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"


class Administrator:
    """The administrator of PostgreSQL and Redis.

    Args:
        stores: addresses; the database's is that of the administrator.
        supervisor: reaches the lab's supervisor, where there is one.
        silence: seconds without a sign of life after which PostgreSQL ends a session that holds a lock.
        beat: seconds between two signs of life.
    """

    def __init__(
        self,
        stores: Stores,
        supervisor: AskSupervisor | None = None,
        *,
        silence: float = _SILENCE,
        beat: float = _BEAT,
    ) -> None:
        self._database = stores.database.get_secret_value()
        self._redis = stores.redis
        self._durable_broker = stores.kafka_durable
        self._ask_supervisor = supervisor
        self._silence = silence
        self._beat = beat

    async def check(self, fault: Fault) -> None:
        """Do nothing for a fault that can be carried out here now.

        Raises:
            FaultError: this shop cannot do it, or what it names does not exist.
            RefusedError: 503, the store does not answer.
        """
        if isinstance(fault, BrokerKill) and not self._durable_broker:
            raise FaultError(f"kind: broker_kill needs {fault.needs}; here, use broker_pause")
        if not fault.carried_out_by:
            return
        if fault.store == "redis" and not self._redis:
            raise FaultError(f"kind: {fault.kind} needs the address of Redis; give the chaos service stores.redis")
        if fault.store == "postgres":
            await self._check_database(fault)

    async def _check_database(self, fault: Fault) -> None:
        if not self._database:
            raise FaultError(
                f"kind: {fault.kind} needs the administrator's address of PostgreSQL; "
                "give the chaos service stores.database"
            )
        try:
            tables = [name for (name,) in await self._ask(_TABLES, fault.target.service)]
        except (psycopg.Error, TimeoutError) as error:
            raise RefusedError(503, f"PostgreSQL does not answer, so {fault.kind} cannot act; heal it first") from error
        if not tables:
            raise FaultError(f"target: {fault.target.service} keeps nothing in PostgreSQL")
        if isinstance(fault, DbLock) and fault.table not in tables:
            raise FaultError(f"table: {fault.target.service} has no table {fault.table!r}; it has {', '.join(tables)}")

    async def lock_table(self, service: str, table: str) -> None:
        """Hold a table until cancelled; the server lets go by itself when this process falls silent."""
        lock = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(service, table))
        async with self._session() as session:
            await session.execute(
                sql.SQL("SET idle_in_transaction_session_timeout = {}").format(round(self._silence * 1000))
            )
            async with session.transaction():
                await session.execute(lock)
                while True:
                    await asyncio.sleep(self._beat)
                    await session.execute("SELECT 1")

    async def end_connections(self, service: str) -> None:
        """End every connection of a service's role."""
        await self._ask(_END, service)

    async def flush_redis(self) -> None:
        """Delete everything in Redis."""
        async with asyncio.timeout(_PATIENCE):
            connection = await connect(self._redis)
            try:
                answer = await connection.send("FLUSHALL")
            finally:
                connection.abort()
        if isinstance(answer, Exception):
            raise StoreError(f"Redis refuses: {answer}")

    async def pause_broker(self) -> None:
        """Stop the broker's process until cancelled; the supervisor lets it go on when this process falls silent."""
        await self._hold_broker(pause=True)

    async def kill_broker(self) -> None:
        """Keep the broker down until cancelled; the supervisor starts it again when this process falls silent."""
        await self._hold_broker(pause=False)

    async def _hold_broker(self, *, pause: bool) -> None:
        if self._ask_supervisor is None:
            raise LabError("no supervisor can be asked to pause or kill the broker")
        question = {"command": "hold", "service": "broker", "holder": secrets.token_hex(4), "pause": pause}
        try:
            while True:
                await self._ask_supervisor({**question, "seconds": self._silence})
                await asyncio.sleep(self._beat)
        finally:
            await self._ask_supervisor({**question, "seconds": 0.0})

    async def _ask(self, statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        async with asyncio.timeout(_PATIENCE), self._session() as session:
            return await (await session.execute(statement, parameters)).fetchall()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        async with asyncio.timeout(_PATIENCE):
            session = await psycopg.AsyncConnection.connect(conninfo(self._database), autocommit=True)
        try:
            yield session
        finally:
            await session.close()
