"""Leads one piece of work through the faults that match it: the part that every place of kind ``exchange`` shares.

Each fault that hits gets the work in turn and hands it on with ``forward``; who wants to act on HTTP requests,
outbound calls or messages subclasses :class:`Passage`. Faults decide when their turn comes, so a fault behind an
injected error neither draws nor counts.
"""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.draw import number
from cloudcart.chaos.record import ActiveFault

_TICK: Final = 0.05  # seconds between two pieces of a body that drips


class Passage(ABC):
    """One piece of work on its way.

    Args:
        active: where decisions are taken and counted.
        records: the faults that match, in the order in which they act.
        route: for counting work that has no key.
        key: the request key, or empty.
        marks: gets the id of each fault that hits.
    """

    __slots__ = ("_active", "_key", "_marks", "_next", "_records", "_route")

    def __init__(
        self,
        active: ActiveFaults,
        records: Sequence[ActiveFault],
        route: str,
        key: str,
        marks: list[str],
    ) -> None:
        self._active = active
        self._records = records
        self._route = route
        self._key = key
        self._marks = marks
        self._next = 0

    async def advance(self) -> None:
        """Hand the work to the next fault that hits it, or let it be served."""
        while self._next < len(self._records):
            record = self._records[self._next]
            self._next += 1
            digest = self._active.decide(record, self._route, self._key)
            if digest is not None:
                await self._under(record, digest)
                return
        await self.serve()

    async def _under(self, record: ActiveFault, digest: bytes) -> None:
        self._marks.append(record.id)
        record.in_flight += 1
        try:
            await record.fault.act(_Hit(self, record, digest))
        finally:
            record.in_flight -= 1

    async def hold(self, record: ActiveFault, seconds: float) -> None:
        """Let ``seconds`` pass, or less if the fault ends before."""
        begun = time.perf_counter()
        try:
            await self._pause(record, seconds, self.wait_for)
        finally:
            self._active.effects.delayed(record.fault, time.perf_counter() - begun)

    async def drip(self, record: ActiveFault, rate: float, body: bytes) -> AsyncIterator[bytes]:
        """Yield ``body`` in pieces, each when it is due at ``rate`` bytes per second; the rest once the fault ends."""
        size = max(1, int(rate * _TICK))
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            await self._pause(record, len(piece) / rate, _wait)
            if record.ended or self._active.seconds_left(record) <= 0:
                yield body[start:]
                return
            yield piece

    async def _pause(
        self, record: ActiveFault, seconds: float, wait: Callable[[asyncio.Future[None]], Awaitable[None]]
    ) -> None:
        """Wait in parts, none longer than the lease: it may be renewed meanwhile, and if it is not the fault ends."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := min(end - loop.time(), self._active.seconds_left(record))) > 0:
            released: asyncio.Future[None] = loop.create_future()
            timer = loop.call_later(left, _release, released)
            let_go = partial(loop.call_soon_threadsafe, _release, released)
            record.waiting.add(let_go)
            try:
                if not record.ended:  # it may have ended, in another thread, just before
                    await wait(released)
            finally:
                timer.cancel()
                record.waiting.discard(let_go)

    async def wait_for(self, released: asyncio.Future[None]) -> None:
        """Wait until the delay is over. A place that can notice that its caller has gone ends sooner."""
        await released

    @abstractmethod
    async def serve(self) -> None:
        """Let the service do the work."""

    @abstractmethod
    async def reply(self, status: int, body: Mapping[str, object] | None, headers: Mapping[str, str]) -> None:
        """Answer in the service's stead."""

    def fail(self) -> None:
        """Do not publish; see :class:`cloudcart.faults.places.Broker`. Only places that publish are asked."""
        raise NotImplementedError

    async def put(self, value: bytes) -> None:
        """Publish something else beside; see there."""
        raise NotImplementedError

    async def cut(self, after_bytes: int | None) -> None:
        """Break the connection; see :class:`cloudcart.faults.Exchange`. A place without answers is not asked."""
        raise NotImplementedError

    async def trickle(self, record: ActiveFault, rate: float) -> None:
        """Let the answer's body drip, as long as the fault is active."""
        raise NotImplementedError

    async def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """Change the answer's body."""
        raise NotImplementedError


class _Hit:
    """What one fault sees of the work that it hits; fulfils :class:`cloudcart.faults.Exchange`."""

    __slots__ = ("_digest", "_passage", "_record")

    def __init__(self, passage: Passage, record: ActiveFault, digest: bytes) -> None:
        self._passage = passage
        self._record = record
        self._digest = digest

    def draw(self, index: int) -> float:
        return number(self._digest, index)

    async def delay(self, seconds: float) -> None:
        await self._passage.hold(self._record, seconds)

    async def forward(self) -> None:
        await self._passage.advance()

    async def answer(self, status: int, body: Mapping[str, object] | None, headers: Mapping[str, str]) -> None:
        await self._passage.reply(status, body, headers)

    async def fail(self) -> None:
        self._passage.fail()

    async def put(self, value: bytes) -> None:
        await self._passage.put(value)

    async def cut(self, after_bytes: int | None) -> None:
        await self._passage.cut(after_bytes)

    async def trickle(self, rate: float) -> None:
        await self._passage.trickle(self._record, rate)

    async def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        await self._passage.rewrite(change)


async def _wait(released: asyncio.Future[None]) -> None:
    await released


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def problem_body(status: int, members: Mapping[str, object]) -> bytes:
    """Return the problem document of an injected answer; ``error`` is its detail, too."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:  # a fault may use a number that no standard names
        title = "Injected status"
    detail = members.get("error", "injected fault")
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, "error": detail, **members}
    return json.dumps(document).encode()
