"""How the server writes a plain answer: head and body together, in one system call.

uvicorn writes each ASGI message as it comes, and looks at each header by itself with regular expressions; for small
answers with many headers that is a fifth of what the gateway does. Streams, HEAD and whatever else is not plain go
uvicorn's own way. Faults can cut a connection here (ASGI extension ``cloudcart.cut``). Used where a service is served
(``lab.service_process``), as uvicorn's ``http`` setting.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from cloudcart.chaos.answers import CUT

_LENGTH: Final = b"content-length"
_CONNECTION: Final = b"connection"
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # struct linger (socket(7)): close sends a reset instead of an orderly end


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with answers that are written at once."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection is open."""
        super().connection_made(transport)
        self._extensions = {CUT: self._cut}

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = self._extensions

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # uvicorn makes the cycle itself and has no setting for its class. Where it has no such method either (older
        # releases), answers are written its own way.
        cycle.__class__ = PlainAnswer
        super()._start_asgi_task(cycle, app)

    def _cut(self) -> None:
        """Write what is pending and reset the connection, as when the other end's process had died."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError):  # it is closed already
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.close()


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
