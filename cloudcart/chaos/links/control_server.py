"""A small HTTP/1.1 server for the proxy's control API: JSON in, JSON out, kept-alive connections, nothing else.

On asyncio's streams and the standard library, so that ``cloudcart proxy`` needs no web framework. Browsers are
refused, as by Toxiproxy: no page may control faults. Not here: what is answered (``toxiproxy``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from cloudcart.exceptions import RefusedError

Answer = Callable[[str, str, Any], Awaitable[tuple[int, object]]]
_MOST: Final = 4 * 1024 * 1024  # bytes of a body


async def serve_control(answer: Answer, host: str, port: int) -> asyncio.Server:
    """Listen and answer each request by ``answer(method, path, body)``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _serve_one(answer, reader, writer):
                pass
        except (OSError, EOFError, ValueError):
            pass  # the caller left, or does not speak HTTP
        finally:
            writer.close()

    return await asyncio.start_server(serve, host, port)


async def _serve_one(answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    try:
        body = await _body(headers, reader)
        if headers.get("user-agent", "").startswith("Mozilla/") or "origin" in headers:
            raise RefusedError(403, "User agent not allowed")
        status, document = await answer(method, unquote(urlsplit(target).path), body)
    except RefusedError as error:
        status, document = error.status, {"error": error.error, "status": error.status}
    keep = headers.get("connection", "").lower() != "close"
    writer.write(_response(status, document, keep=keep))
    await writer.drain()
    return keep


async def _body(headers: dict[str, str], reader: asyncio.StreamReader) -> Any:
    length = int(headers.get("content-length") or 0)
    if length > _MOST or "transfer-encoding" in headers:
        raise ValueError("a body of known and moderate length is wanted")
    content = await reader.readexactly(length)
    try:
        return json.loads(content) if content else {}
    except ValueError as error:
        raise RefusedError(400, f"bad request body: {error}") from None


def _response(status: int, document: object, *, keep: bool) -> bytes:
    payload = b"" if document is None else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Connection: {'keep-alive' if keep else 'close'}"]
    if status != 204:
        lines += ["Content-Type: application/json", f"Content-Length: {len(payload)}"]
    return "\r\n".join([*lines, "", ""]).encode() + payload
