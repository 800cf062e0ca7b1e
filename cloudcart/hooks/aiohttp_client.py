"""Faults in the calls of an aiohttp session: a client middleware, which aiohttp has since 3.12.

``Hooks.aiohttp_middleware`` makes it. The session's own time limits hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.outbound import may_act, outbound
from cloudcart.exceptions import UpstreamBrokenError
from cloudcart.hooks.calls import Answered, Lines, note_marks, pass_on, plain
from cloudcart.hooks.httpx_client import PeerOf

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientResponse

    Handler = Callable[[ClientRequest], Awaitable[ClientResponse]]


class ChaosClientMiddleware:
    """A client middleware that lets faults act on each request of a session.

    Args:
        active: what is active in this process.
        peer_of: names the services that are called.
    """

    def __init__(self, active: ActiveFaults, peer_of: PeerOf) -> None:
        self._active, self._peer_of = active, peer_of

    async def __call__(self, request: ClientRequest, handler: Handler) -> ClientResponse:
        """Send one request."""
        if not self._active.lab:
            return await handler(request)
        pass_on(request.headers)
        response = await (self._under_faults(request, handler) if may_act(self._active) else handler(request))
        note_marks(response.headers)
        return response

    async def _under_faults(self, request: ClientRequest, handler: Handler) -> ClientResponse:
        from aiohttp import ServerDisconnectedError

        async def call() -> Answered:
            response = await handler(request)
            return Answered(response.status, [(name.lower(), value) for name, value in response.raw_headers], response)

        async def read(answer: Answered) -> bytes:
            body: bytes = await answer.response.read()
            return body

        def made(status: int, headers: Lines, body: bytes) -> Answered:
            return Answered(status, headers, _response(request, status, headers, body))

        try:
            answer = await outbound(
                self._active,
                peer=self._peer_of(request.url.host or "", request.url.port),
                method=request.method,
                route=request.url.path,
                headers=[(name.lower().encode(), value.encode()) for name, value in request.headers.items()],
                call=call,
                answer=made,
                read=read,
            )
        except UpstreamBrokenError as error:
            raise ServerDisconnectedError(str(error)) from None
        return cast("ClientResponse", answer.response)


def _response(request: ClientRequest, status: int, headers: Lines, body: bytes) -> ClientResponse:
    """Return a response that was never sent. aiohttp has no public way to make one, so this sets what it reads."""
    from aiohttp import ClientResponse
    from aiohttp.helpers import TimerNoop
    from multidict import CIMultiDict, CIMultiDictProxy

    class Injected(ClientResponse):
        def fill(self, lines: Lines) -> None:
            self.status, self.reason, self._body = status, "injected", body
            decoded = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in lines]
            self._headers = CIMultiDictProxy(CIMultiDict(decoded))
            self._raw_headers = tuple(lines)

    made = Injected(
        request.method,
        request.url,
        writer=None,
        continue100=None,
        timer=TimerNoop(),
        request_info=request.request_info,
        traces=[],
        loop=asyncio.get_running_loop(),
        session=request.session,
        stream_writer=_NothingSent(),  # type: ignore[arg-type]  # only its size is asked for
    )
    made.fill(plain(headers))
    return made


class _NothingSent:
    """The writer of a request that never left."""

    output_size = 0
