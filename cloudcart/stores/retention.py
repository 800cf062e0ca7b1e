"""Forgets rows that have served their time, such as ids of events that no broker will deliver again.

Batch by batch, so that no statement takes long and no lock is held for long, by the database's clock. Each service runs
it beside its requests for the tables that it names (:class:`Retention`). The outbox needs none: a row is deleted when
its event is confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, LiteralString, NamedTuple

from prometheus_client import Counter

from cloudcart.stores.database import Database
from cloudcart.telemetry.metrics import Telemetry

_BATCH: Final = 1000  # rows of one statement
_PAUSE: Final = 0.1  # seconds between two of them: requests come first


class Retention(NamedTuple):
    """How long the rows of a table are kept.

    Attributes:
        table: its name.
        delete: the statement that deletes at most ``%(batch)s`` rows that are older than ``%(keep)s`` seconds.
        keep: seconds.
    """

    table: str
    delete: LiteralString
    keep: float


class CleanUp:
    """Keeps tables from growing for ever. Several processes may do it at the same time.

    Args:
        database: the service's own.
        retentions: what is kept for how long.
        telemetry: where deleted rows are counted.
    """

    def __init__(self, database: Database, retentions: Iterable[Retention], telemetry: Telemetry) -> None:
        self._database = database
        self._retentions = tuple(retentions)
        self._deleted = Counter(
            "expired_rows_deleted_total", "Rows older than their retention.", ["table"], registry=telemetry.registry
        )

    async def run(self) -> None:
        """Delete every row that is too old by now.

        Raises:
            StoreError: PostgreSQL is not there; what was deleted until then stays so.
        """
        for retention in self._retentions:
            deleted = _BATCH
            while deleted == _BATCH:
                deleted = await self._delete_batch(retention)
                await asyncio.sleep(_PAUSE)

    async def _delete_batch(self, retention: Retention) -> int:
        async with self._database.session(writes=True) as session:
            count = await session.run(retention.delete, {"keep": retention.keep, "batch": _BATCH})
        self._deleted.labels(retention.table).inc(count)
        return count
