# ruff: noqa: ASYNC109 - one timer for a whole exchange is cheaper than asyncio.timeout around it
"""One kept-alive HTTP/1.1 connection of ``services.http_client``: writes a request, reads its answer with httptools.

At most one request at a time. Whatever is not a plain, complete answer to it (bytes nobody asked for, two framings, an
endless head) breaks the connection, so that no answer can ever be taken for another request's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from cloudcart.exceptions import UpstreamBrokenError, UpstreamError, UpstreamTimeoutError

MAX_HEAD: Final = 64 * 1024
_BUFFERED: Final = 256 * 1024  # bytes of a stream that wait for a slow reader at most


@dataclass(slots=True)
class Response:
    """An answer; header names are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header, or None."""
        return next((value for known, value in self.headers if known == name), None)

    def json(self) -> Any:
        """Return what the body's JSON says; raises ValueError if it is none."""
        return json.loads(self.body)


class Connection(asyncio.Protocol):
    """A connection to ``authority``; made by a pool, which alone decides who has it.

    Attributes:
        usable: whether another request may be sent on it.
        reused: whether it has carried a request before.
        untouched: whether no byte of an answer to the present request has come.
        idle_since: when it was given back, for its pool.
    """

    def __init__(self, authority: str, max_body: int) -> None:
        self.usable = False
        self.reused = False
        self.untouched = True
        self.idle_since = 0.0
        self._authority = authority
        self._max_body = max_body
        self._loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._head_only = self._streaming = False
        self._complete = True

    # What a caller does

    async def exchange(
        self, request: bytes, timeout: float | None, *, head_only: bool = False, streaming: bool = False
    ) -> Response:
        """Send a request and return its answer, whose body is left out when ``streaming`` (see :meth:`pieces`).

        Raises:
            UpstreamTimeoutError: nothing complete within ``timeout`` seconds.
            UpstreamBrokenError: cut off, or not HTTP.
        """
        self._begin(head_only, streaming)
        self._waiter = waiter = self._loop.create_future()
        timer = None if timeout is None else self._loop.call_later(timeout, self._expire)
        self._transport.write(request)
        try:
            await waiter
        except BaseException:  # above all, the caller was cancelled: the answer must not meet the next request
            self.abort()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return Response(self._status, self._headers, b"" if streaming else b"".join(self._chunks))

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body of a streamed answer as it comes.

        Raises:
            UpstreamBrokenError: it was cut off.
        """
        while True:
            while self._chunks:
                piece = b"".join(self._chunks)
                self._chunks.clear()
                self._size = 0
                if not self._transport.is_closing():
                    self._transport.resume_reading()
                yield piece
            if self._error is not None:
                raise self._error
            if self._complete:
                return
            self._waiter = self._loop.create_future()
            await self._waiter

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.usable = False
        self._transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """Bytes have come: parts of the answer, or some that nobody asked for."""
        self.untouched = False
        if self._complete:
            self.abort()  # nobody asked: these bytes must not become the answer to the next request
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.usable = False
            self._break(f"sent an answer that is not HTTP/1.1 ({error})")
        if not self._has_head and self._received > MAX_HEAD:
            self._break(f"sent more than {MAX_HEAD} bytes without an end of the headers")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed; ``exc`` is None where that was orderly."""
        self.usable = False
        if self._complete:
            return
        if self._has_head and self._framings == 0 and exc is None:
            self._finish()  # a body without length or chunks ends with the connection (RFC 9112, section 6.3)
        else:
            self._break("cut the connection before its answer was complete")

    # What the parser calls

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self._complete:
            raise UpstreamBrokenError("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, is complete."""
        if self._has_head:
            return  # a trailer
        name = name.lower()
        if name == b"content-length" or (name == b"transfer-encoding" and value.lower().endswith(b"chunked")):
            self._framings += 1
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._status = self._parser.get_status_code()
        if self._status < 200:
            return
        self._has_head = True
        if self._framings > 1:
            self._break("framed its answer twice, which is not to be trusted")
        elif self._head_only:
            self._finish()
        elif self._streaming:
            self._wake()

    def on_body(self, data: bytes) -> None:
        """A piece of the body has come."""
        if self._head_only:
            raise UpstreamBrokenError("a body in answer to HEAD")
        self._size += len(data)
        self._chunks.append(data)
        if self._streaming:
            if self._size > _BUFFERED:
                self._transport.pause_reading()
            self._wake()
        elif self._size > self._max_body:
            self._break(f"sent more than {self._max_body} bytes")

    def on_message_complete(self) -> None:
        """The answer is complete."""
        if self._status < 200:
            self._headers.clear()  # an interim answer; the real one follows
            self._framings = 0
            return
        self.usable = self.usable and self._parser.should_keep_alive()
        self._complete = True
        self._wake()

    # What happens inside

    def _begin(self, head_only: bool, streaming: bool) -> None:
        if self._head_only:
            self._parser = HttpResponseParser(self)  # the old one waits for the body that HEAD left out
        self.untouched = True
        self._head_only = head_only
        self._streaming = streaming
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._status = self._size = self._received = self._framings = 0
        self._has_head = self._complete = False
        self._error: UpstreamError | None = None

    def _expire(self) -> None:
        self._fail(UpstreamTimeoutError(f"{self._authority} did not answer in time"))

    def _break(self, how: str) -> None:
        self._fail(UpstreamBrokenError(f"{self._authority} {how}"))

    def _fail(self, error: UpstreamError) -> None:
        if not self._complete:
            self._error = error
            self.abort()
            self._finish()

    def _finish(self) -> None:
        self._complete = True
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            if self._error is not None and not (self._streaming and self._has_head):
                waiter.set_exception(self._error)
            else:
                waiter.set_result(None)
