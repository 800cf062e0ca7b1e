"""Faults in the calls of an httpx client: a transport around its own, below its retries and within its time limits.

``Hooks.httpx_transport`` and ``Hooks.async_httpx_transport`` make them. The asynchronous one needs asyncio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.outbound import CallPassage, may_act, outbound
from cloudcart.exceptions import UpstreamBrokenError
from cloudcart.hooks.blocking import BlockingPassage, completed
from cloudcart.hooks.calls import Answered, Lines, note_marks, pass_on, plain

PeerOf = Callable[[str, int | None], str]
"""Returns the name by which targets call a host and port."""


class _BlockingCall(BlockingPassage, CallPassage[Answered]):
    """A call of a synchronous client."""


class ChaosTransport(httpx.BaseTransport):
    """A transport that lets faults act on each request.

    Args:
        active: what is active in this process.
        peer_of: names the services that are called.
        inner: sends the requests.
    """

    def __init__(self, active: ActiveFaults, peer_of: PeerOf, inner: httpx.BaseTransport) -> None:
        self._active, self._peer_of, self._inner = active, peer_of, inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        if not self._active.lab:
            return self._inner.handle_request(request)
        pass_on(request.headers)
        response = self._under_faults(request) if may_act(self._active) else self._inner.handle_request(request)
        note_marks(response.headers)
        return response

    def _under_faults(self, request: httpx.Request) -> httpx.Response:
        async def call() -> Answered:
            return _answered(self._inner.handle_request(request))

        async def read(answer: Answered) -> bytes:
            body: bytes = answer.response.read()
            return body

        words = _words(request, self._peer_of)
        try:
            answer = completed(outbound(self._active, **words, call=call, answer=_made, read=read, kind=_BlockingCall))
        except (TimeoutError, UpstreamBrokenError) as error:
            raise _as_httpx(error, request) from None
        response: httpx.Response = answer.response
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class AsyncChaosTransport(httpx.AsyncBaseTransport):
    """The same for an asynchronous client."""

    def __init__(self, active: ActiveFaults, peer_of: PeerOf, inner: httpx.AsyncBaseTransport) -> None:
        self._active, self._peer_of, self._inner = active, peer_of, inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        if not self._active.lab:
            return await self._inner.handle_async_request(request)
        pass_on(request.headers)
        if may_act(self._active):
            response = await self._under_faults(request)
        else:
            response = await self._inner.handle_async_request(request)
        note_marks(response.headers)
        return response

    async def _under_faults(self, request: httpx.Request) -> httpx.Response:
        async def call() -> Answered:
            return _answered(await self._inner.handle_async_request(request))

        async def read(answer: Answered) -> bytes:
            body: bytes = await answer.response.aread()
            return body

        words = _words(request, self._peer_of)
        try:
            answer = await outbound(self._active, **words, call=call, answer=_made, read=read)
        except (TimeoutError, UpstreamBrokenError) as error:
            raise _as_httpx(error, request) from None
        response: httpx.Response = answer.response
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def _words(request: httpx.Request, peer_of: PeerOf) -> dict[str, Any]:
    return {
        "peer": peer_of(request.url.host, request.url.port),
        "method": request.method,
        "route": request.url.path,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "limit": (request.extensions.get("timeout") or {}).get("read"),
    }


def _answered(response: httpx.Response) -> Answered:
    return Answered(response.status_code, [(name.lower(), value) for name, value in response.headers.raw], response)


def _made(status: int, headers: Lines, body: bytes) -> Answered:
    return Answered(status, headers, httpx.Response(status, headers=plain(headers), content=body))


def _as_httpx(error: Exception, request: httpx.Request) -> httpx.TransportError:
    """Return the error by which httpx would tell what happened."""
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("a fault held the answer back for longer than the client waits", request=request)
    return httpx.ReadError(str(error), request=request)
