# ruff: noqa: ASYNC109 - the time-out covers connecting, sending and reading, and is measured by the connection
"""The HTTP/1.1 client of services and gateway: asyncio, httptools, kept-alive connections, and nothing beyond.

One :class:`HttpClient` per process. It passes the travelling ids on (``telemetry.context``), notes the marks of faults
in answers, and spreads requests over the replicas of a service (``balancing`` says to which one). Not here: retries,
limits and breakers, which are decisions of the caller. The one request that is sent twice is an idempotent one on a
kept-alive connection that the server had closed meanwhile.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.outbound import may_act, outbound
from cloudcart.exceptions import (
    UpstreamBrokenError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
    UsageError,
)
from cloudcart.services.balancing import Balancer
from cloudcart.services.http_connection import Connection, Response
from cloudcart.telemetry.context import FAULT_MARK, current

__all__ = ["FAILURES", "IDEMPOTENT", "Headers", "HttpClient", "Response"]

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent twice (RFC 9110, section 9.2.2)."""

FAILURES: Final = frozenset({500, 502, 503, 504})
"""Statuses by which a service says that it failed, and not its caller."""

_MAX_BODY: Final = 16 * 1024 * 1024
_KEPT: Final = 3.0  # seconds; less than the servers' 5, so that it is seldom they who close a connection that we take
_MAX_IDLE: Final = 128
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_TARGET: Final = re.compile(r"/[!-~]*")
_MARK: Final = FAULT_MARK.encode()


class HttpClient:
    """Calls other services. Belongs to one event loop; make it in the lifespan and close it there.

    Args:
        max_body: bytes of an answer's body at most.
        faults: what may act on the calls made here.
        peers: base address to the service's name, by which faults on calls are aimed.
        balancers: base address of a service to what chooses among its replicas, where it has several. A stream goes to
            the address that it names.
    """

    def __init__(
        self,
        *,
        max_body: int = _MAX_BODY,
        faults: ActiveFaults | None = None,
        peers: Mapping[str, str] | None = None,
        balancers: Mapping[str, Balancer] | None = None,
    ) -> None:
        self._balancers = balancers or {}
        self._send = self._send_to_replica if balancers else self._send_to
        self._pools: dict[str, _Pool] = {}
        self._faults = faults
        self._peers = peers or {}
        self._max_body = max_body

    def request(
        self,
        method: str,
        base: str,
        path: str,
        *,
        headers: Headers = (),
        body: bytes = b"",
        timeout: float | None = None,
        attempt: int = 0,
    ) -> Coroutine[Any, Any, Response]:
        """Wait for the whole answer, whatever its status.

        Args:
            method: in upper case.
            base: as ``http://127.0.0.1:8001``; its path, if any, is not used.
            path: with the query, percent-encoded.
            headers: without Host, Connection, Content-Length and Transfer-Encoding, which are made here.
            body: sent with its length.
            timeout: seconds for all of it, connecting included; None waits for ever.
            attempt: number of the repeat, for the request key that travels along.

        Raises:
            UpstreamUnavailableError: not reached, in time or at all.
            UpstreamTimeoutError: sent, and no complete answer in time.
            UpstreamBrokenError: sent, and cut off or answered with something that is not HTTP.
            UsageError: the path or a header would break the request's framing.
        """
        if self._faults is None or not may_act(self._faults):
            return self._send(method, base, path, headers, body, timeout, attempt)
        send = partial(self._send, method, base, path, headers, body, timeout, attempt)
        return self._send_under_faults(send, method, base, path, headers, timeout, attempt)

    async def _send_under_faults(
        self,
        send: Callable[[], Awaitable[Response]],
        method: str,
        base: str,
        path: str,
        headers: Headers,
        timeout: float | None,
        attempt: int,
    ) -> Response:
        assert self._faults is not None
        try:
            async with asyncio.timeout(timeout):  # an injected delay counts like a slow network
                return await outbound(
                    self._faults,
                    peer=self._peers.get(base, ""),
                    method=method,
                    route=path.partition("?")[0],
                    headers=[*headers, *_travelling(attempt)],
                    call=send,
                    answer=Response,
                )
        except TimeoutError:
            raise UpstreamTimeoutError(f"{base} did not answer in time") from None

    async def _send_to_replica(
        self, method: str, base: str, path: str, headers: Headers, body: bytes, timeout: float | None, attempt: int
    ) -> Response:
        """Send it to the replica whose turn it is, and tell how that went."""
        balancer = self._balancers.get(base)
        if balancer is None:
            return await self._send_to(method, base, path, headers, body, timeout, attempt)
        call = balancer.begin()
        try:
            response = await self._send_to(method, call.replica.base, path, headers, body, timeout, attempt)
        except UpstreamError:
            balancer.ended(call, failed=True)
            raise
        except BaseException:
            balancer.abandoned(call)
            raise
        balancer.ended(call, failed=response.status in FAILURES)
        return response

    async def _send_to(
        self, method: str, base: str, path: str, headers: Headers, body: bytes, timeout: float | None, attempt: int
    ) -> Response:
        pool = self._pools.get(base) or self._new_pool(base)
        message = _compose(method, pool.authority, path, headers, body, attempt)
        head_only = method == "HEAD"
        deadline = None if timeout is None else time.monotonic() + timeout
        connection = pool.take() or await pool.connect(timeout)
        try:
            response = await connection.exchange(message, timeout, head_only=head_only)
        except UpstreamBrokenError:
            if not (connection.reused and connection.untouched and method in IDEMPOTENT):
                raise
            left = None if deadline is None else deadline - time.monotonic()
            connection = await pool.connect(left)
            response = await connection.exchange(message, left, head_only=head_only)
        pool.give_back(connection)
        _note_marks(response)
        return response

    @asynccontextmanager
    async def stream(
        self, method: str, base: str, path: str, *, headers: Headers = (), timeout: float | None = None
    ) -> AsyncIterator[tuple[Response, AsyncIterator[bytes]]]:
        """Give the head of an answer as soon as it is there, and its body in pieces; afterwards close the connection.

        Raises as :meth:`request`; ``timeout`` is for the head alone.
        """
        pool = self._pools.get(base) or self._new_pool(base)
        connection = await pool.connect(timeout)
        try:
            message = _compose(method, pool.authority, path, headers, b"", 0)
            head = await connection.exchange(message, timeout, streaming=True)
            _note_marks(head)
            yield head, connection.pieces()
        finally:
            connection.abort()

    def forget(self) -> None:
        """Forget what was learnt of replicas, as a lab that is reset does."""
        for balancer in self._balancers.values():
            balancer.forget()

    async def aclose(self) -> None:
        """Close the idle connections; those in use close when their caller ends."""
        for pool in self._pools.values():
            pool.close()

    def _new_pool(self, base: str) -> _Pool:
        pool = self._pools[base] = _Pool(base, self._max_body)
        return pool


class _Pool:
    """The idle connections to one address, newest last."""

    def __init__(self, base: str, max_body: int) -> None:
        url = urlsplit(base)
        if url.scheme != "http" or not url.hostname:
            raise UsageError(f"the address of a service is written as http://host:port, not {base!r}")
        self.authority = url.netloc
        self._host = url.hostname
        self._port = url.port or 80
        self._max_body = max_body
        self._idle: list[Connection] = []

    def take(self) -> Connection | None:
        """Return the connection used last that is still good, or None."""
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now - connection.idle_since < _KEPT:
                return connection
            connection.abort()
        return None

    async def connect(self, timeout: float | None) -> Connection:
        """Return a fresh connection."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(self.authority, self._max_body), self._host, self._port
                )
        except OSError as error:  # TimeoutError is one, too
            raise UpstreamUnavailableError(f"{self.authority} cannot be reached: {error or 'no answer'}") from None
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request, if it is fit for one."""
        if connection.usable and len(self._idle) < _MAX_IDLE:
            connection.reused = True
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().abort()


def _compose(method: str, authority: str, path: str, headers: Headers, body: bytes, attempt: int) -> bytes:
    if not _TARGET.fullmatch(path):
        raise UsageError(f"a path begins with a slash and is percent-encoded, which {path!r} is not")
    context = current.get()
    head = f"{method} {path} HTTP/1.1\r\nhost: {authority}\r\n"
    if context is not None:
        head += context.outbound_lines(attempt)
    if body or method in _WITH_BODY:
        head += f"content-length: {len(body)}\r\n"
    given = b"".join([b"%b: %b\r\n" % header for header in headers])
    if given.count(b"\r") != len(headers) or given.count(b"\n") != len(headers):
        raise UsageError("a header with a line break would begin a request of its own; take the line break out")
    return b"%b%b\r\n%b" % (head.encode("latin-1"), given, body)


def _travelling(attempt: int) -> Headers:
    context = current.get()
    if context is None:
        return ()
    return [(name.encode(), value.encode("latin-1")) for name, value in context.outbound_headers(attempt).items()]


def _note_marks(response: Response) -> None:
    context = current.get()
    if context is None:
        return
    for name, value in response.headers:
        if name == _MARK:
            context.marks.extend(mark for mark in value.decode("latin-1").split(",") if mark not in context.marks)
