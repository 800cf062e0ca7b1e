"""How the server writes an answer: head and body in one system call instead of two.

uvicorn hands each ASGI message to the transport as it comes, and uvloop writes at once. Answers are small, so the
second write costs the gateway a tenth of its time, and its client another wake-up. Used where a service is served
(``lab.service_process``), as uvicorn's ``http`` setting.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's protocol over a transport that writes at the end of the event loop's turn."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection is open."""
        super().connection_made(cast("asyncio.Transport", _AtEndOfTurn(transport)))


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
