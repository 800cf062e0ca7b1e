"""The layers that every service stands behind, apart from chaos: pure ASGI, one idea each.

Which of them are used, and in which order, is said in one place only: ``services.assemble``. None of them knows what
the application does. A layer that has nothing to do after the request hands on what the next one returns instead of
waiting for it: each coroutine less makes every request cheaper.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Final

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloudcart.chaos.middleware import with_marks
from cloudcart.chaos.record import Surroundings
from cloudcart.services.problems import problem, unexpected
from cloudcart.telemetry.context import (
    INJECT,
    REQUEST_ID,
    REQUEST_KEY,
    TRACEPARENT,
    context_from_headers,
    current,
)
from cloudcart.telemetry.logs import AccessLog
from cloudcart.telemetry.metrics import CONTENT_TYPE, Telemetry
from cloudcart.telemetry.routes import ROUTE, Routes

Check = Callable[[], Awaitable[object]]
"""A readiness check: raises when what it looks at cannot be used."""

OPERATIONS: Final = ("/health", "/ready", "/metrics")
"""What an orchestrator asks for. These requests are neither counted nor logged: they are no traffic."""

MAX_BODY: Final = 1024 * 1024
_CHECK_TIME: Final = 1.0
_LOG: Final = logging.getLogger(__name__)
_CLIENT_GONE: Final = 499  # nginx's number for a request that was given up before it was answered
_TRAVELLING: Final = frozenset(name.encode() for name in (REQUEST_ID, TRACEPARENT, REQUEST_KEY, INJECT))


class RequestContextLayer:
    """Sets the travelling ids of the request for everything inside (``telemetry.context.current``)."""

    def __init__(self, app: ASGIApp, *, lab: bool) -> None:
        self._app = app
        self._lab = lab

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request, or whatever else the server asks for."""
        if scope["type"] == "http":
            headers = {
                name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _TRAVELLING
            }
            current.set(context_from_headers(headers, lab=self._lab))
        return self._app(scope, receive, send)


class TrafficLayer:
    """Counts, times and logs each request, and turns what nobody caught into a 500 without details.

    A request is timed to the end of its answer; an event stream, which stays open for hours, to its first event.
    """

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry, routes: Routes, log: AccessLog | None) -> None:
        self._app = app
        self._traffic = telemetry.http
        self._routes = routes
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or whatever else the server asks for."""
        if scope["type"] != "http" or scope["path"] in OPERATIONS:
            scope[ROUTE] = scope.get("path", "")
            await self._app(scope, receive, send)
            return
        route = scope[ROUTE] = self._routes.resolve(scope["path"])
        context = current.get()
        assert context is not None, "the request context is the outermost layer"
        request_id = (b"x-request-id", context.request_id.encode())
        status, complete, answered = 0, False, 0.0
        headers: list[tuple[bytes, bytes]] = []

        def count(message: Message) -> Awaitable[None]:
            nonlocal status, complete, answered, headers
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), request_id]
                if context.marks:  # of a service that was called, which may know a fault before this one, or longer
                    headers = with_marks(headers, context.marks)
                message["headers"] = headers
            else:
                complete = not message.get("more_body", False)
                if not complete and not answered and _is_event_stream(headers):
                    answered = time.perf_counter()
            return send(message)

        traffic = self._traffic
        traffic.in_flight += 1
        begun = time.perf_counter()
        try:
            await self._app(scope, receive, count)
        except Exception:
            _LOG.exception("request failed", extra={"route": route, "trace_id": context.trace_id})
            if status and not complete:
                raise  # half an answer is out: only the server can cut the connection now
            if not status:
                await unexpected()(scope, receive, count)
        finally:
            traffic.in_flight -= 1
            seconds = (answered or time.perf_counter()) - begun
            traffic.record(scope["method"], route, status or _CLIENT_GONE, seconds)
            if self._log is not None:
                self._log.write(scope["method"], scope["path"], route, status, seconds, context.trace_id)


def _is_event_stream(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


class BodyLimitLayer:
    """Refuses bodies over a mebibyte with 413. A body of unknown length is read before it is handed on."""

    def __init__(self, app: ASGIApp, *, limit: int = MAX_BODY) -> None:
        self._app = app
        self._limit = limit

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request, or whatever else the server asks for."""
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                if name == b"content-length" and (not value.isdigit() or int(value) > self._limit):
                    return self._refuse(scope, receive, send)
                if name == b"transfer-encoding":
                    return self._read_first(scope, receive, send)
        return self._app(scope, receive, send)

    async def _read_first(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive, self._limit)
        if body is None:
            await self._refuse(scope, receive, send)
        else:
            await self._app(scope, _replay(body, receive), send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await problem(413, f"the body is larger than {self._limit} bytes; send less at once")(scope, receive, send)


async def _read(receive: Receive, limit: int) -> bytes | None:
    chunks, size = [], 0
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            return None
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay


class OperationsLayer:
    """Answers ``/health`` (the process runs), ``/ready`` (its stores answer) and ``/metrics``; serves HEAD by GET."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        telemetry: Telemetry,
        checks: Mapping[str, Check],
        surroundings: Surroundings | None = None,
    ) -> None:
        self._app = app
        self._surroundings = surroundings or Surroundings()
        self._telemetry = telemetry
        self._checks = checks

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request, or whatever else the server asks for."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        if scope["path"] not in OPERATIONS:
            return self._app(scope, receive, send)
        return self._operate(scope, receive, send)

    async def _operate(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            response = problem(405, "this address is only read", headers={"allow": "GET, HEAD"})
        else:
            response = await self._operation(scope["path"])
        await response(scope, receive, send)

    async def _operation(self, path: str) -> Response:
        if path == "/metrics":
            return Response(self._telemetry.exposition(), media_type=CONTENT_TYPE)
        if path == "/health":
            return JSONResponse({"status": "ok", "service": self._telemetry.service})
        results = dict(zip(self._checks, await asyncio.gather(*map(_passes, self._checks.values())), strict=True))
        if self._surroundings.unready:  # said of a check that there is, so that nobody reads the cause here
            results.update(dict.fromkeys([*self._checks][:1], False))
        ready = all(results.values()) and not self._surroundings.unready
        states = {name: "ok" if passed else "unavailable" for name, passed in results.items()}
        document = {"status": "ready" if ready else "not ready", "service": self._telemetry.service, "checks": states}
        return JSONResponse(document, 200 if ready else 503)


async def _passes(check: Check) -> bool:
    try:
        async with asyncio.timeout(_CHECK_TIME):
            await check()
    except Exception:
        return False
    return True


def _without_body(send: Send) -> Send:
    async def bodiless(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})  # at once: the body may be a stream without end

    return bodiless


class LifespanLayer:
    """Runs tasks beside the application from its start to its end."""

    def __init__(self, app: ASGIApp, *, background: Sequence[Callable[[], Coroutine[None, None, None]]]) -> None:
        self._app = app
        self._background = background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the server, or the server's life."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        tasks = [asyncio.create_task(run()) for run in self._background]
        try:
            await self._app(scope, receive, send)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
