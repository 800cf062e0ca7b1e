"""The place where faults act on the calls that a service makes (``direction="outbound"``, or a target like
``gateway->products``).

It stands below the retry layer, so each attempt is drawn for by itself and the caller's time-outs, retries and breakers
are what is tested. Called by ``services.http_client`` around every attempt, and by ``hooks`` in other applications.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.exchange import Passage, problem_body
from cloudcart.chaos.matching import Headers, Work
from cloudcart.chaos.record import ActiveFault
from cloudcart.exceptions import UpstreamBrokenError
from cloudcart.telemetry.context import REQUEST_KEY, current


class _Parts(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> list[tuple[bytes, bytes]]: ...


Answer = TypeVar("Answer", bound=_Parts)
MakeAnswer = Callable[[int, list[tuple[bytes, bytes]], bytes], Answer]
"""Makes the client's own kind of response from status, headers and body."""
Read = Callable[[Answer], Awaitable[bytes]]
"""Reads the whole body of a response."""


async def _body(answer: Any) -> bytes:
    body: bytes = answer.body
    return body


def may_act(active: ActiveFaults) -> bool:
    """Return whether a call made now has to go through :func:`outbound`; almost free while no fault is active."""
    if active.any:
        return True
    context = current.get()
    return context is not None and bool(context.inject)


async def outbound(
    active: ActiveFaults,
    *,
    peer: str,
    method: str,
    route: str,
    headers: Headers,
    call: Callable[[], Awaitable[Answer]],
    answer: MakeAnswer[Answer],
    read: Read[Answer] = _body,
    kind: type[CallPassage[Answer]] | None = None,
    limit: float | None = None,
) -> Answer:
    """Make one attempt of a call under the faults that match it; ask :func:`may_act` first.

    Args:
        active: what is active in this process.
        peer: the service that is called, as targets name it.
        method: of the call.
        route: its path or template.
        headers: as sent, with lower-case names; the request key among them makes the draw.
        call: sends the request and returns the response.
        answer: makes the response that a fault gives in the peer's stead.
        read: reads a response's body, for faults that need it; its attribute ``body`` if not given.
        kind: the passage, where it is not an asynchronous one.
        limit: seconds after which the caller gives up; a fault holds the call no longer.

    Raises:
        TimeoutError: a fault held it for ``limit`` seconds; it was not sent, or its answer is lost.
        FaultError: the request carries a fault of its own that makes no sense.
        UpstreamBrokenError: a fault cut the connection, before or after the peer had the request.
    """
    context = current.get()
    work = Work("outbound", method, route, headers, peer=peer)
    records = active.matching(work, context.inject if context else "")
    if not records:
        return await call()
    key = next((value.decode("latin-1") for name, value in headers if name == REQUEST_KEY.encode()), "")
    marks = context.marks if context else []
    passage = (kind or CallPassage)(active, records, f"{peer}{route}", key, marks, call, answer, read, limit)
    await passage.advance()
    assert passage.result is not None
    return passage.result[0]


class CallPassage(Passage, Generic[Answer]):
    """A call's way through the faults that match it; the arguments are those of :func:`outbound`."""

    __slots__ = ("_answer", "_call", "_read", "limit", "result")

    def __init__(
        self,
        active: ActiveFaults,
        records: Sequence[ActiveFault],
        route: str,
        key: str,
        marks: list[str],
        call: Callable[[], Awaitable[Answer]],
        answer: MakeAnswer[Answer],
        read: Read[Answer],
        limit: float | None,
    ) -> None:
        super().__init__(active, records, route, key, marks)
        self._call = call
        self._answer = answer
        self._read = read
        self.limit = limit
        self.result: tuple[Answer] | None = None

    async def serve(self) -> None:
        """Send the request."""
        self.result = (await self._call(),)

    async def wait_for(self, released: asyncio.Future[None]) -> None:
        """Wait, but no longer than the caller does."""
        async with asyncio.timeout(self.limit):
            await released

    async def reply(self, status: int, body: Mapping[str, object] | None, headers: Mapping[str, str]) -> None:
        """Answer in the peer's stead."""
        payload = problem_body(status, body or {})
        lines = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(payload)).encode())]
        lines += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self.result = (self._answer(status, lines, payload),)

    async def cut(self, after_bytes: int | None) -> None:
        """Lose the connection."""
        if after_bytes is not None:  # the peer has done what was asked; only its answer is lost
            await self.advance()
        raise UpstreamBrokenError("a fault cut the connection before the answer was complete")

    async def trickle(self, record: ActiveFault, rate: float) -> None:
        """Let the answer come as late as its last byte would."""
        await self.advance()
        assert self.result is not None
        async for _piece in self.drip(record, rate, await self._read(self.result[0])):
            continue

    async def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """Change the answer's body."""
        await self.advance()
        assert self.result is not None
        answer = self.result[0]
        body = change(await self._read(answer))
        headers = [pair for pair in answer.headers if pair[0] != b"content-length"]
        self.result = (self._answer(answer.status, [*headers, (b"content-length", b"%d" % len(body))], body),)
