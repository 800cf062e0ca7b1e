"""The gateway's hot path: one request from the edge to a service and back.

Plain ASGI, since a framework's routing and request objects would cost more than all that is done here. Not here: the
stack around it (``services.assemble``), and how an upstream is called (``upstream``).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from cloudcart.exceptions import (
    CallerGoneError,
    RefusedError,
    TokenError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from cloudcart.services.gateway.cache import ListCache
from cloudcart.services.gateway.headers import SECURITY_HEADERS, Cors, Pair, for_client, for_upstream
from cloudcart.services.gateway.metrics import GatewayMetrics
from cloudcart.services.gateway.rate_limit import RateLimit
from cloudcart.services.gateway.refusals import RefusalEvents
from cloudcart.services.gateway.routes import ADMIN, ANYBODY, ENDPOINTS, Access, Endpoint, forwarded_target
from cloudcart.services.gateway.upstream import Upstream
from cloudcart.services.http_client import Response
from cloudcart.services.problems import problem
from cloudcart.services.security import Principal, TokenVerifier
from cloudcart.settings import ServiceName
from cloudcart.telemetry.context import carries_fault
from cloudcart.telemetry.routes import ROUTE

Headers = Mapping[bytes, bytes]

_WITHOUT_BODY: Final = frozenset({204, 304})
# A list is asked for in nobody's name and as a whole, since the answer is kept for everybody.
_NOT_FOR_LISTS: Final = frozenset(b"authorization cookie if-match if-modified-since if-none-match range".split())


@dataclass(slots=True)
class Gateway:
    """The gateway as an ASGI application. ``limit`` and ``cache`` are None where they are switched off."""

    upstreams: Mapping[ServiceName, Upstream]
    verifier: TokenVerifier
    cors: Cors
    limit: RateLimit | None
    cache: ListCache | None
    metrics: GatewayMetrics
    refusals: RefusalEvents

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers: Headers = dict(scope["headers"])
        method: str = scope["method"]
        origin = headers.get(b"origin")
        own = SECURITY_HEADERS if origin is None else (*SECURITY_HEADERS, *self.cors.permission(origin))
        endpoint = ENDPOINTS.get(scope[ROUTE])
        target = forwarded_target(scope["raw_path"], scope["query_string"])
        try:
            if endpoint is None or target is None or method not in endpoint.methods:
                await self._admit(scope, ANYBODY, headers)
                response = self._own_answer(endpoint if target else None, method, headers)
            else:
                await self._admit(scope, endpoint.methods[method], headers)
                passing = for_upstream(scope["headers"], headers)
                if endpoint.streamed:
                    await self._stream(self.upstreams[endpoint.upstream], target, passing, own, receive, send)
                    return
                has_body = b"content-length" in headers or b"transfer-encoding" in headers
                body = await _read_body(receive) if has_body else b""
                response = await self._forward(endpoint, method, target, passing, body)
        except RefusedError as error:
            response = _refusal(error)
        except UpstreamError as error:
            response = _failure(error)
        except CallerGoneError:
            return
        await _reply(send, response, own)

    def reset(self) -> None:
        """Forget everything that requests have left behind in this process."""
        for upstream in self.upstreams.values():
            upstream.reset()
        if self.cache is not None:
            self.cache.clear()
        if self.limit is not None:
            self.limit.clear()

    def _own_answer(self, endpoint: Endpoint | None, method: str, headers: Headers) -> Response:
        """Return the answer to what no service is asked for."""
        if endpoint is None:
            return _problem(404, "there is nothing at this address")
        if method == "OPTIONS":
            return self._options(endpoint, headers)
        return _problem(405, "this address does not support this method", {"allow": _allowed(endpoint)})

    def _options(self, endpoint: Endpoint, headers: Headers) -> Response:
        if b"access-control-request-method" not in headers:
            return Response(204, [(b"allow", _allowed(endpoint).encode())], b"")
        if not self.cors.allows(headers.get(b"origin", b"")):
            return _problem(403, "pages of this origin may not call the shop; add it to gateway.cors_origins")
        return Response(204, self.cors.preflight(_allowed(endpoint)), b"")

    async def _admit(self, scope: Scope, access: Access, headers: Headers) -> None:
        """Return if the client may go on.

        Raises:
            RefusedError: 401, 403, or 429 whether or not its token is good.
        """
        principal, refusal = self._identify(access, headers)
        if self.limit is not None:
            client = _client(scope, principal)
            if seconds := await self.limit.admit(client):
                self.metrics.rate_limit_exceeded_total.inc()
                self.refusals.refused(client, scope[ROUTE])
                raise RefusedError(429, "too many requests; wait before the next one", retry_after=math.ceil(seconds))
        if refusal is not None:
            self.metrics.jwt_validation_failures_total.labels(refusal.reason).inc()
            raise refusal
        if access is ADMIN and not (principal is not None and principal.is_admin):
            raise RefusedError(403, "only an administrator may do this")

    def _identify(self, access: Access, headers: Headers) -> tuple[Principal | None, TokenError | None]:
        """Return the user, or why there is none. Where anybody may call, a bad token is as good as none."""
        authorization = headers.get(b"authorization")
        if authorization is None and access is ANYBODY:
            return None, None
        try:
            text = None if authorization is None else authorization.decode("latin-1")
            return self.verifier.verify_header(text), None
        except TokenError as error:
            return None, None if access is ANYBODY else error

    async def _forward(
        self, endpoint: Endpoint, method: str, target: str, headers: list[Pair], body: bytes
    ) -> Response:
        upstream = self.upstreams[endpoint.upstream]
        if self.cache is not None and endpoint.cached and method == "GET" and not carries_fault():
            return await self._list(self.cache, upstream, target, headers)
        try:
            response = await upstream.call(method, target, headers, body, endpoint.timeout)
        finally:
            if self.cache is not None and endpoint.upstream == "products" and method != "GET":
                self.cache.expire()  # who changes a product sees the change at once
        response.headers = for_client(response.headers)
        return response

    async def _list(self, cache: ListCache, upstream: Upstream, target: str, headers: list[Pair]) -> Response:
        """Return a product list: a fresh one, else what products says, else the last one known."""
        known = cache.fresh(target)
        if known is not None:
            self.metrics.cache_hits_total.inc()
            return known
        self.metrics.cache_misses_total.inc()
        generation = cache.generation
        try:
            response = await upstream.call(
                "GET", target, [pair for pair in headers if pair[0] not in _NOT_FOR_LISTS], b""
            )
        except UpstreamError:
            stale = self._stale(cache, target)
            if stale is None:
                raise
            return stale
        response.headers = for_client(response.headers)
        if response.status == 200:
            cache.put(target, response, generation)
        return (self._stale(cache, target) if response.status >= 500 else None) or response

    def _stale(self, cache: ListCache, target: str) -> Response | None:
        known = cache.stale(target)
        if known is None:
            return None
        self.metrics.cache_stale_total.inc()
        response, age = known
        return Response(response.status, [*response.headers, (b"age", b"%d" % age)], response.body)

    async def _stream(
        self, upstream: Upstream, target: str, headers: list[Pair], own: Sequence[Pair], receive: Receive, send: Send
    ) -> None:
        begun = False
        try:
            async with upstream.stream(target, headers) as (head, pieces):
                begun = True
                lines = [*for_client(head.headers), *own]
                await send({"type": "http.response.start", "status": head.status, "headers": lines})
                await _relay(pieces, receive, send)
        except UpstreamError:
            if not begun:
                raise  # else the client sees its stream end, and opens another
        await send({"type": "http.response.body", "body": b""})


def _client(scope: Scope, principal: Principal | None) -> str:
    """Return by whom requests are counted: the user, else the address."""
    if principal is not None:
        return f"user:{principal.user_id}"
    return f"address:{scope['client'][0] if scope.get('client') else 'unknown'}"


def _allowed(endpoint: Endpoint) -> str:
    methods = [*endpoint.methods, *(["HEAD"] if "GET" in endpoint.methods else []), "OPTIONS"]
    return ", ".join(methods)


async def _read_body(receive: Receive) -> bytes:
    """Return the whole body; the stack has made sure that it is not too large.

    Raises:
        CallerGoneError: the client went away before it was complete.
    """
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGoneError("the client went away before its request was complete")
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _relay(pieces: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Send on what comes until there is no more, or the client goes away."""

    async def pump() -> None:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(pump()), asyncio.create_task(gone())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _problem(status: int, sentence: str, headers: Mapping[str, str] | None = None, **extra: object) -> Response:
    answer = problem(status, sentence, headers=headers, **extra)
    lines = [pair for pair in answer.raw_headers if pair[0] != b"content-length"]
    return Response(status, lines, bytes(answer.body))


def _refusal(error: RefusedError) -> Response:
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    if "retry_after" in error.extra:
        headers["retry-after"] = str(error.extra["retry_after"])
    return _problem(error.status, error.error, headers, **error.extra)


def _failure(error: UpstreamError) -> Response:
    if isinstance(error, UpstreamUnavailableError):
        return _problem(503, "this part of the shop is not available; try again shortly", {"retry-after": "1"})
    if isinstance(error, UpstreamTimeoutError):
        return _problem(504, "this part of the shop took too long; look whether your request had its effect")
    return _problem(502, "this part of the shop broke off its answer; look whether your request had its effect")


async def _reply(send: Send, response: Response, own: Sequence[Pair]) -> None:
    lines = [*response.headers, *own]
    if response.status not in _WITHOUT_BODY:
        lines.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": lines})
    await send({"type": "http.response.body", "body": response.body})
