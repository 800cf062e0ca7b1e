"""Where a statement or a command waits before it goes to a store: what hooks of stores share.

Kinds for stores (``db_slow_query``, ``redis_slow``) act here, and those for calls (``latency``, ``error``, ``timeout``,
``reset``) where the target names this store by a name of its own, as ``mine->orders-db``. Kinds that damage an answer
(``slow_body``, ``corrupt``, ``reset`` after some bytes) neither act nor count: drivers read answers themselves. Used
by ``sqlalchemy_engine`` and ``redis_client``, which say what a refusal is in their library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.exchange import Passage
from cloudcart.chaos.matching import Work
from cloudcart.chaos.record import ActiveFault
from cloudcart.exceptions import ConnectionCutError, StoreError
from cloudcart.faults import Fault
from cloudcart.faults.reset import Reset
from cloudcart.hooks.blocking import BlockingPassage, completed
from cloudcart.telemetry.context import current


class Gate(NamedTuple):
    """The way to one store.

    Attributes:
        active: what is active in this process.
        store: which kinds for stores act: ``postgres`` or ``redis``.
        peer: the name by which targets call this store.
        limit: seconds after which the caller gives up; a fault holds it no longer.
    """

    active: ActiveFaults
    store: str
    peer: str
    limit: float | None = None

    def records(self) -> Sequence[ActiveFault]:
        """Return the faults that could act now: not those that damage an answer, which passes elsewhere."""
        statement = Work("outbound", "", "", peer=self.store, place="store")
        calls = self.active.matching(Work("outbound", "", "", peer=self.peer))
        aimed = [record for record in calls if record.fault.target.link == self.peer and _acts_before(record.fault)]
        return [*self.active.matching(statement), *aimed]

    def wait(self) -> None:
        """Let the faults act, blocking the thread.

        Raises:
            TimeoutError: a fault held it for ``limit`` seconds.
            StoreError: a fault answered in the store's stead.
            ConnectionCutError: a fault cut the connection.
        """
        if self.active.any and (records := self.records()):
            completed(_BlockingGatePassage(self, records).advance())

    async def pass_through(self) -> None:
        """Let the faults act, for asynchronous code; raises as :meth:`wait`."""
        if self.active.any and (records := self.records()):
            await _GatePassage(self, records).advance()


def _acts_before(fault: Fault) -> bool:
    """Return whether a fault acts on a statement that has not been sent yet."""
    return not fault.needs_answer or (isinstance(fault, Reset) and fault.after_bytes is None)


class _GatePassage(Passage):
    """A statement's way through the faults that match it; it goes to the store afterwards."""

    def __init__(self, gate: Gate, records: Sequence[ActiveFault]) -> None:
        context = current.get()
        key, marks = (context.request_key, context.marks) if context else ("", [])
        super().__init__(gate.active, records, gate.peer, key, marks)
        self.limit = gate.limit

    async def serve(self) -> None:
        return

    async def wait_for(self, released: asyncio.Future[None]) -> None:
        async with asyncio.timeout(self.limit):
            await released

    async def reply(self, status: int, body: Mapping[str, object] | None, headers: Mapping[str, str]) -> None:
        del headers
        sentence = (body or {}).get("error", "injected fault")
        raise StoreError(f"{sentence} ({status})")

    async def cut(self, after_bytes: int | None) -> None:
        del after_bytes  # None: those that let some of the answer pass are not asked
        raise ConnectionCutError("a fault cut the connection")


class _BlockingGatePassage(BlockingPassage, _GatePassage):
    """The same where waits block the thread."""
