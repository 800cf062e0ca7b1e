"""The place where faults act on HTTP requests: pure ASGI middleware, for the shop's services and for any other
application.

Without an active fault a request costs one attribute check. Not here: which fault hits (``active``), what it does
(``faults``), how it got here (``agent``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any, Final

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.answers import CUT, CutAfter, Dripping, Rewritten, cut_connection
from cloudcart.chaos.exchange import Passage, problem_body
from cloudcart.chaos.matching import Work, user_of
from cloudcart.chaos.record import ActiveFault
from cloudcart.exceptions import CallerGoneError, FaultError
from cloudcart.faults import Fault
from cloudcart.telemetry.context import FAULT_MARK, INJECT, RequestContext, context_from_headers, current
from cloudcart.telemetry.routes import ROUTE

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_INJECT: Final = INJECT.encode()
_MARK: Final = FAULT_MARK.encode()
_HELD_BODY: Final = 1024 * 1024  # bytes of a request body that are read while it is held back; then the client waits


class ChaosMiddleware:
    """Lets active faults act on the requests of ``app``.

    In the shop the stack hands over what is active. Any other ASGI application gives its name instead and where its
    faults come from::

        app.add_middleware(ChaosMiddleware, service="mine", faults=[{"kind": "latency", "fixed": "80ms"}])

    It acts only where a lab is declared, by ``lab=True`` or ``CLOUDCART_LAB=1``, so it may stay in production code.

    Args:
        app: what is wrapped.
        active: what is active in this process; the arguments below are then not used.
        service: the name by which targets call this application.
        faults: active from now on, as values or documents; a document without target means this application.
            ``CLOUDCART_FAULTS`` (a JSON list) adds more, ``CLOUDCART_CHAOS_URL`` names a control plane to ask.
        lab: whether this is a lab; None: what ``CLOUDCART_LAB`` says.

    Raises:
        FaultError: a document makes no sense.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        active: ActiveFaults | None = None,
        service: str = "app",
        faults: Sequence[Fault | Mapping[str, object]] = (),
        lab: bool | None = None,
    ) -> None:
        self._app = app
        self._begin: Callable[[], None] | None = None
        self._polling: Callable[[], None] | None = None
        if active is None:
            from cloudcart.chaos.foreign import join_lab  # only applications outside the shop need it

            active, self._begin = join_lab(service, faults, lab)
        self._active = active
        self._lab = active.lab

    @property
    def active(self) -> ActiveFaults:
        """What is active in this process."""
        return self._active

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the server."""
        if not self._active.any and not (self._lab and _carries_fault(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            self._start()
            await self._app(scope, receive, send)
        elif (context := current.get()) is not None:
            await self._serve(scope, receive, send, context)
        else:
            await self._serve_with_context(scope, receive, send)

    def _start(self) -> None:
        if self._begin is not None:
            begin, self._begin = self._begin, None
            begin()
            self._polling = begin  # whose task lives as long as it is referred to

    async def _serve_with_context(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do for an application outside the shop what the shop's stack does further out."""
        self._start()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        token = current.set(context := context_from_headers(headers, lab=self._lab))
        try:
            await self._serve(scope, receive, send, context)
        finally:
            current.reset(token)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, context: RequestContext) -> None:
        route = scope.get(ROUTE) or scope["path"]
        work = Work("inbound", scope["method"], route, scope["headers"])
        marked = _Marked(send, context.marks)
        if self._active.chooses_users or context.inject:
            user = user_of(scope["headers"])
            context.user = "" if user is None else str(user)
        try:
            records = self._active.matching(work, context.inject)
        except FaultError as error:
            await _answer(scope, marked, 400, {"error": str(error)}, {})
            return
        if not records:
            await self._app(scope, receive, marked)
            return
        request = _HeldRequest(self._app, scope, receive, marked)
        try:
            await _RequestPassage(request, self._active, records, route, context).advance()
        except CallerGoneError:
            return  # nobody is left to answer
        finally:
            request.close()


def _carries_fault(scope: Scope) -> bool:
    context = current.get()
    if context is not None:
        return bool(context.inject)
    return any(name == _INJECT for name, _ in scope.get("headers", ()))


def with_marks(headers: Iterable[tuple[bytes, bytes]], marks: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers with the faults that hit its request, here or in a service that was called for it."""
    mark = ",".join(dict.fromkeys(marks)).encode("latin-1", "replace")
    return [*(pair for pair in headers if pair[0].lower() != _MARK), (_MARK, mark)]


class _Marked:
    """Sends an answer on :func:`with_marks`; nothing further out does so in foreign applications, or for probes."""

    __slots__ = ("_marks", "_send")

    def __init__(self, send: Send, marks: list[str]) -> None:
        self._send = send
        self._marks = marks

    async def __call__(self, message: Message) -> None:
        if self._marks and message["type"] == "http.response.start":
            message = {**message, "headers": with_marks(message.get("headers", ()), self._marks)}
        await self._send(message)


class _HeldRequest:
    """A request that may be held back: notices when its client goes away, and loses nothing that it reads meanwhile."""

    __slots__ = ("_app", "_messages", "_reading", "_receive", "scope", "send")

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._app = app
        self._receive = receive
        self._messages: deque[Message] = deque()
        self._reading: asyncio.Task[Message] | None = None
        self.scope = scope
        self.send = send

    async def serve(self) -> None:
        await self._app(self.scope, self._next_message, self.send)

    async def wait_for(self, released: asyncio.Future[None]) -> None:
        """Wait until released; raises CallerGoneError if the client disconnects before."""
        held = sum(len(message.get("body", b"")) for message in self._messages)
        while not released.done() and held < _HELD_BODY:
            if self._reading is None:
                self._reading = asyncio.ensure_future(_received(self._receive))
            await asyncio.wait((released, self._reading), return_when=asyncio.FIRST_COMPLETED)
            if self._reading.done():
                message = self._reading.result()
                self._reading = None
                if message["type"] == "http.disconnect":
                    raise CallerGoneError("the client disconnected while its request was held back")
                self._messages.append(message)
                held += len(message.get("body", b""))
        await released

    async def _next_message(self) -> Message:
        if self._messages:
            return self._messages.popleft()
        if self._reading is not None:
            reading = self._reading
            message = await asyncio.shield(reading)  # the application may give up waiting; the message stays
            self._reading = None
            return message
        return await self._receive()

    async def cut(self) -> None:
        """Break the connection before anything was answered, and return when the server has noticed.

        Raises:
            ConnectionCutError: only the server can do it, which see.
        """
        if CUT not in (self.scope.get("extensions") or {}):  # so that there is an answer to be left incomplete
            await self.send({"type": "http.response.start", "status": 502, "headers": [(b"content-length", b"1")]})
            await self.send({"type": "http.response.body", "body": b"", "more_body": True})
        cut_connection(self.scope)
        while (await self._next_message())["type"] != "http.disconnect":
            continue

    def close(self) -> None:
        """Leave no task behind."""
        if self._reading is not None:
            self._reading.cancel()


async def _received(receive: Receive) -> Message:
    return await receive()


class _RequestPassage(Passage):
    """A request's way through the faults that match it."""

    __slots__ = ("_request",)

    def __init__(
        self,
        request: _HeldRequest,
        active: ActiveFaults,
        records: Sequence[ActiveFault],
        route: str,
        context: RequestContext,
    ) -> None:
        super().__init__(active, records, route, context.request_key, context.marks)
        self._request = request

    async def serve(self) -> None:
        await self._request.serve()

    async def wait_for(self, released: asyncio.Future[None]) -> None:
        await self._request.wait_for(released)

    async def reply(self, status: int, body: Mapping[str, object] | None, headers: Mapping[str, str]) -> None:
        await _answer(self._request.scope, self._request.send, status, body or {}, headers)

    async def cut(self, after_bytes: int | None) -> None:
        request = self._request
        if after_bytes is None:
            await request.cut()
            return
        request.send = CutAfter(request.scope, request.send, after_bytes)
        await self.advance()

    async def trickle(self, record: ActiveFault, rate: float) -> None:
        self._request.send = Dripping(self._request.send, partial(self.drip, record, rate))
        await self.advance()

    async def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        self._request.send = Rewritten(self._request.send, change)
        await self.advance()


async def _answer(
    scope: Scope, send: Send, status: int, body: Mapping[str, object], headers: Mapping[str, str]
) -> None:
    """Answer with a problem document (RFC 9457) in the service's stead."""
    payload = problem_body(status, body)
    lines = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(payload)).encode())]
    lines += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else payload})
