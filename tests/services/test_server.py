"""The server's answers on the wire: whatever an application sends must arrive as uvicorn would have sent it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cloudcart.services.server import OneWriteProtocol

App = Callable[[Any, Any, Any], Awaitable[None]]
PLAIN = [(b"content-type", b"text/plain"), (b"content-length", b"4")]


@asynccontextmanager
async def serving(app: App, http: Any) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app, http=http, lifespan="off", log_config=None, access_log=False, interface="asgi3", date_header=False
        )
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        ticking = asyncio.create_task(server.main_loop())
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await ticking
            await server.shutdown(sockets=[listener])


async def talk(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def exchange(app: App, *requests: bytes, http: Any = OneWriteProtocol) -> list[bytes]:
    """Return all that the server answers to each of ``requests`` over a connection of its own until it closes that."""

    async def run() -> list[bytes]:
        async with asyncio.timeout(20), serving(app, http) as port:
            return [await talk(port, request) for request in requests]

    return asyncio.run(run())


def answering(*messages: dict[str, Any]) -> App:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send({**message, **({"headers": list(message["headers"])} if "headers" in message else {})})

    return app


def start(status: int = 200, headers: Any = PLAIN) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: bytes = b"fine", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"


@pytest.mark.parametrize(
    "messages",
    [
        (start(), body()),
        (start(404, [(b"content-length", b"0")]), body(b"")),
        (start(), body(b"fi", more=True), body(b"ne")),
        (start(headers=[(b"content-type", b"text/plain")]), body()),
        (start(headers=[(b"x-a", b"1")]), body(b"fi", more=True), body(b"ne", more=True), body(b"")),
        (start(204, []), body(b"")),
        (start(304, [(b"etag", b"1")]), body(b"")),
        (start(headers=[*PLAIN, (b"connection", b"close")]), body()),
        (start(headers=[(b"Content-Length", b"4"), (b"X-Mixed", b"1")]), body()),
        (start(headers=[*PLAIN, (b"x-obs", "é".encode())]), body()),
    ],
    ids=["plain", "empty", "two pieces", "no length", "stream", "204", "304", "close", "mixed case", "not ascii"],
)
def test_an_answer_is_the_one_that_uvicorn_writes(messages: tuple[dict[str, Any], ...]) -> None:
    requests = (GET + LAST, LAST, HEAD + LAST, OLD, POST + GET + GET + LAST)
    ours = exchange(answering(*messages), *requests)
    assert ours == exchange(answering(*messages), *requests, http=HttpToolsProtocol)
    assert all(answer.startswith(b"HTTP/1.1 ") for answer in ours)


@pytest.mark.parametrize(
    "messages",
    [
        (start(headers=[*PLAIN, (b"x", b"a\r\nb: c")]), body()),
        (start(headers=[*PLAIN, (b"x", b"a\nb")]), body()),
        (start(headers=[*PLAIN, (b"x\r\ny", b"a")]), body()),
        (start(headers=[(b"content-length", b"9")]), body()),
        (start(headers=[(b"content-length", b"3")]), body()),
        (start(),),
        (),
    ],
    ids=["CRLF", "LF", "CRLF in a name", "too short", "too long", "no body", "nothing"],
)
def test_an_answer_that_cannot_be_right_is_a_500(messages: tuple[dict[str, Any], ...]) -> None:
    (answer,) = exchange(answering(*messages), GET)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"\r\nb: c" not in answer


def test_an_application_that_fails_before_its_body_gives_500() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start())
        raise RuntimeError("on purpose")

    assert exchange(app, GET)[0].startswith(b"HTTP/1.1 500 ")


def test_a_plain_answer_is_one_write() -> None:
    writes: list[bytes] = []

    class Watched(OneWriteProtocol):
        def connection_made(self, transport: Any) -> None:
            write = transport.write
            transport.write = lambda data: (writes.append(bytes(data)), write(data))
            super().connection_made(transport)

    exchange(answering(start(), body()), GET + LAST, http=Watched)
    assert writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert writes[0].endswith(b"\r\n\r\nfine")


def test_a_stream_begins_before_its_first_piece() -> None:
    async def run() -> None:
        first = asyncio.Event()

        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            await send(start(headers=[(b"content-type", b"text/event-stream")]))
            await first.wait()
            await send(body(b"data: 1\n\n"))

        async with asyncio.timeout(20), serving(app, OneWriteProtocol) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
            first.set()
            await reader.readuntil(b"data: 1\n\n")
            writer.close()
            await writer.wait_closed()

    asyncio.run(run())


def test_what_is_pending_is_written_before_the_connection_is_closed() -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await send(start())
        await send(body())
        scope["extensions"]["test"].transport.close()  # as a server does that is told to stop at this very moment

    class Reachable(OneWriteProtocol):
        def _start_asgi_task(self, cycle: Any, app: Any) -> None:
            cycle.scope["extensions"] = {"test": self}
            super()._start_asgi_task(cycle, app)

    (answer,) = exchange(app, GET, http=Reachable)
    assert answer.endswith(b"\r\n\r\nfine")
