"""How the server writes answers: a plain one in one piece, and all of one turn of the event loop one after the other.

uvicorn writes each ASGI message as it comes, and looks at each header by itself with regular expressions. For small
answers with many headers that was a quarter of the gateway's time: two system calls instead of one, and a client that
is woken up in between takes the processor. What is not plain (streams, HEAD, a last answer) is put together by uvicorn.
Used where a service is served (``lab.service_process``), as uvicorn's ``http`` setting.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

_LENGTH: Final = b"content-length"
_CONNECTION: Final = b"connection"


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with answers that are written in one piece at the end of a turn."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection is open."""
        super().connection_made(cast("asyncio.Transport", _AtEndOfTurn(transport)))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # uvicorn makes the cycle itself and has no setting for its class. Where it has no such method either (older
        # releases), answers are written its own way.
        cycle.__class__ = PlainAnswer
        super()._start_asgi_task(cycle, app)


class PlainAnswer(RequestResponseCycle):
    """One request and its answer. The head of an answer whose length is known is held until its body comes."""

    _held: Any = None

    async def send(self, message: Any) -> None:
        """Take an ASGI message."""
        start, self._held = self._held, None
        if message["type"] == "http.response.start":  # a second one, after an error, replaces the first
            if self.response_started or _LENGTH not in dict(message["headers"]):
                await super().send(message)
            else:
                self._held = message
        elif start is None:
            await super().send(message)
        elif message.get("more_body", False) or self._needs_care():
            await super().send(start)
            await super().send(message)
        elif not self.disconnected:
            self._write(start, message.get("body", b""))

    def _needs_care(self) -> bool:
        return self.flow.write_paused or self.access_log or not self.keep_alive or self.scope["method"] == "HEAD"

    def _write(self, start: Any, body: bytes) -> None:
        lines = [STATUS_LINE[start["status"]]]
        headers = [*self.default_headers, *start["headers"]]
        for name, value in headers:
            if name == _LENGTH and int(value) != len(body):
                raise RuntimeError("the answer's content-length is not the length of its body")
            if name == _CONNECTION:
                self.keep_alive = self.keep_alive and b"close" not in value.lower()
            lines += (name, b": ", value, b"\r\n")
        head = b"".join(lines)
        if head.count(b"\r") != len(headers) + 1 or head.count(b"\n") != len(headers) + 1:
            raise RuntimeError("a header with a line break would begin an answer of its own")
        self.response_started = self.response_complete = True
        self.transport.write(b"%b\r\n%b" % (head, body))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class _AtEndOfTurn:
    """A transport that collects what is written in one turn of the event loop."""

    __slots__ = ("_loop", "_pending", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write ``data`` soon."""
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(data)

    def is_closing(self) -> bool:
        """Return whether it is closed, or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Write what is pending and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pending:
            self._transport.write(b"".join(self._pending))
            self._pending.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
