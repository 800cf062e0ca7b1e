"""A pool of PostgreSQL connections for one event loop: made when needed, the newest first, never a dead one.

Why not a ready-made one: SQLAlchemy's asyncio pool and execution cost 440 us a statement here and psycopg_pool waits up
to seconds before it connects again after an outage; this one costs 55 us and reconnects with the next request. Only
``stores.database`` uses it.
"""

from __future__ import annotations

import asyncio
import select
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row

from cloudcart.exceptions import StoreError

Cursor = psycopg.AsyncCursor[DictRow]
"""One connection's one cursor: making a new one for each statement costs a tenth of the statement."""

_WAIT: Final = 3.0  # seconds for a connection to become free
_CONNECT: Final = 3.0  # seconds for PostgreSQL to accept a connection


class ConnectionPool:
    """At most ``size`` connections.

    Args:
        conninfo: libpq connection string.
        size: how many connections may be open at the same time.
    """

    def __init__(self, conninfo: str, size: int) -> None:
        self.size = size
        self.in_use = 0
        self._conninfo = conninfo
        self._idle: list[Cursor] = []
        self._free = asyncio.Semaphore(size)

    async def acquire(self) -> Cursor:
        """Return a cursor on a live connection with no transaction open.

        Raises:
            StoreError: PostgreSQL does not answer, or every connection stayed in use.
        """
        if self._free.locked():
            try:
                await asyncio.wait_for(self._free.acquire(), _WAIT)
            except TimeoutError:
                raise StoreError("every database connection is in use; raise stores.pool_size") from None
        else:
            await self._free.acquire()
        self.in_use += 1
        try:
            while self._idle:
                cursor = self._idle.pop()
                if not _is_dead(cursor.connection):
                    return cursor
                await cursor.connection.close()
            return await self.connect()
        except BaseException:
            self._give_back_slot()
            raise

    async def release(self, cursor: Cursor) -> None:
        """Take a connection back; one that is not idle and well is closed."""
        try:
            if cursor.connection.pgconn.transaction_status == TransactionStatus.IDLE:
                self._idle.append(cursor)
            else:
                await cursor.connection.close()
        finally:
            self._give_back_slot()

    async def close(self) -> None:
        """Close the idle connections; those in use are closed by their users' release and this again."""
        while self._idle:
            await self._idle.pop().connection.close()

    def _give_back_slot(self) -> None:
        self.in_use -= 1
        self._free.release()

    async def connect(self) -> Cursor:
        """Return a cursor on a new connection that the pool does not count; raises as :meth:`acquire`."""
        try:
            async with asyncio.timeout(_CONNECT):
                connection = await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, prepare_threshold=1, row_factory=dict_row
                )
                return connection.cursor()
        except (psycopg.OperationalError, TimeoutError) as error:
            raise StoreError("PostgreSQL does not accept a connection") from error


def _is_dead(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Say whether an idle connection was cut: nobody asked it anything, so what there is to read is its end."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
