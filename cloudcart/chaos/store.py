"""The place where faults act on what a service asks of PostgreSQL or Redis: targets like ``products->postgres``.

Called by the stores' own code around each statement or command. All statements on behalf of one request share a draw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, Literal, TypeVar

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.exchange import Passage
from cloudcart.chaos.matching import Work
from cloudcart.chaos.record import ActiveFault
from cloudcart.telemetry.context import current

T = TypeVar("T")


async def through_store(
    active: ActiveFaults,
    store: Literal["postgres", "redis"],
    send: Callable[[], Awaitable[T]],
    *,
    limit: float | None = None,
) -> T:
    """Send one statement or command under the faults that match it.

    Args:
        active: what is active in this process; ask its ``any`` first.
        store: where it goes.
        send: sends it and returns the answer.
        limit: seconds after which the store gives up on a statement; a fault holds it no longer.

    Raises:
        TimeoutError: a fault held it for ``limit`` seconds; it was not sent.
    """
    records = active.matching(Work("outbound", "", "", peer=store, place="store"))
    if not records:
        return await send()
    context = current.get()
    key, marks = (context.request_key, context.marks) if context else ("", [])
    passage = _StatementPassage(active, records, store, key, marks, send, limit)
    await passage.advance()
    [answer] = passage.answers
    return answer


class _StatementPassage(Passage, Generic[T]):
    """A statement's way through the faults that match it."""

    __slots__ = ("_limit", "_send", "answers")

    def __init__(
        self,
        active: ActiveFaults,
        records: Sequence[ActiveFault],
        store: str,
        key: str,
        marks: list[str],
        send: Callable[[], Awaitable[T]],
        limit: float | None,
    ) -> None:
        super().__init__(active, records, store, key, marks)
        self._send = send
        self._limit = limit
        self.answers: list[T] = []

    async def serve(self) -> None:
        self.answers.append(await self._send())

    async def wait_for(self, released: asyncio.Future[None]) -> None:
        async with asyncio.timeout(self._limit):
            await released

    async def reply(self, _status: int, *_answer: Mapping[str, object] | None) -> None:
        raise NotImplementedError("no fault answers in a store's stead")
