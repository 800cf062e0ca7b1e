"""The gateway behind its real server: requests that a client library would not send, and streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest


async def talk(port: int, request: bytes, *, until: bytes = b"") -> bytes:
    """Send bytes and return what comes back, up to the end or to ``until``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.readuntil(until) if until else await reader.read()
    except asyncio.IncompleteReadError as error:
        return error.partial
    finally:
        writer.close()
        await writer.wait_closed()


def run(work: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(bounded())


@pytest.mark.parametrize(
    "line",
    [
        b"GET /api/../internal/reset HTTP/1.1",
        b"GET /api/products/../../internal/stock HTTP/1.1",
        b"GET /api/products/%2e%2e/internal HTTP/1.1",
        b"GET /api/products%2f..%2f..%2finternal HTTP/1.1",
        b"GET //internal/reset HTTP/1.1",
        b"GET /api//metrics HTTP/1.1",
        b"GET http://products/internal/stock HTTP/1.1",
        b"GET http://products/metrics HTTP/1.1",
        b"GET /api/products/..;/internal HTTP/1.1",
        b"GET /api/products/\\..\\internal HTTP/1.1",
        b"GET /api/metrics HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET /api/products#/../internal HTTP/1.0",
        b"GET /api/products/7?x=\x01 HTTP/1.1",
    ],
)
def test_no_spelling_reaches_what_is_internal(edge: Callable[..., Any], listening: Any, line: bytes) -> None:
    async def work() -> None:
        async with edge(lab=False) as it, listening(it.app) as port:
            answer = await talk(port, line + b"\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 ")
            for service in it.services.values():
                for asked in service.asked:
                    assert asked.target in ("/products", "/products/..;/internal")

    run(work())


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /api/orders HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/orders HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
        b"POST /api/orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST /api/orders HTTP/1.1\r\nhost: x\r\ncontent-length : 4\r\n\r\nabcd",
        b"POST /api/orders HTTP/1.1\r\nhost: x\r\ncontent-length: +4\r\n\r\nabcd",
        b"GET /api/products HTTP/1.1\r\nhost: x\r\nx: a\rb\r\n\r\n",
    ],
)
def test_ambiguous_framing_is_refused_by_the_server(edge: Callable[..., Any], listening: Any, request_: bytes) -> None:
    async def work() -> None:
        async with edge(lab=False) as it, listening(it.app) as port:
            assert (await talk(port, request_)).startswith(b"HTTP/1.1 400 ")
            assert not any(service.asked for service in it.services.values())

    run(work())


def test_pipelined_and_chunked_requests_are_framed_anew(edge: Callable[..., Any], listening: Any) -> None:
    async def work() -> None:
        async with edge(lab=False) as it, listening(it.app) as port:
            authorization = f"authorization: {it.token()['authorization']}\r\n".encode()
            one = b"POST /api/orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n" + authorization
            two = b"GET /api/products/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            answer = await talk(port, one + b"\r\n2\r\n{}\r\n0\r\n\r\n" + two)
            assert answer.count(b"HTTP/1.1 200 OK") == 2
            (order,) = it.services["orders"].asked
            assert (order.body, order.header("content-length"), order.header("transfer-encoding")) == (b"{}", "2", None)
            assert it.services["products"].asked[0].target == "/products/1"

    run(work())


def test_an_answer_is_whole_also_when_the_connection_closes_after_it(edge: Callable[..., Any], listening: Any) -> None:
    async def work() -> None:
        async def large(_asked: Any) -> Any:
            return 200, {}, bytes(3_000_000)

        async with edge(lab=False) as it, listening(it.app) as port:
            it.services["products"].answer = large
            answer = await talk(port, b"GET /api/products/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b"content-length: 3000000" in head
            assert len(body) == 3_000_000

    run(work())


def test_events_pass_one_by_one_and_a_client_that_leaves_ends_the_call(
    edge: Callable[..., Any], listening: Any
) -> None:
    async def work() -> None:
        more, gone = asyncio.Event(), asyncio.Event()

        async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /notifications/stream HTTP/1.1")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            writer.write(b"9\r\ndata: 1\n\n\r\n")
            await more.wait()
            writer.write(b"9\r\ndata: 2\n\n\r\n")
            await reader.read()
            gone.set()
            writer.close()

        async with edge(lab=False) as it, listening(it.app) as port:
            it.services["notifications"].handle = events
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            token = it.token()["authorization"].encode()
            writer.write(b"GET /api/notifications/stream HTTP/1.1\r\nhost: x\r\nauthorization: " + token + b"\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-type: text/event-stream" in head
            assert b"x-content-type-options: nosniff" in head
            await reader.readuntil(b"data: 1\n\n")
            more.set()
            await reader.readuntil(b"data: 2\n\n")
            writer.close()
            await writer.wait_closed()
            await gone.wait()

    run(work())


def test_a_stream_that_breaks_off_ends_and_one_that_never_begins_is_an_error(
    edge: Callable[..., Any], listening: Any
) -> None:
    async def work() -> None:
        async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
            writer.close()

        async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        async with edge(lab=False) as it, listening(it.app) as port:
            token = it.token()["authorization"].encode()
            request = b"GET /api/notifications/stream HTTP/1.1\r\nhost: x\r\nauthorization: " + token + b"\r\n"
            it.services["notifications"].handle = breaks
            answer = await talk(port, request + b"connection: close\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert answer.endswith(b"data: 1\n\n\r\n0\r\n\r\n")
            it.services["notifications"].handle = never
            assert (await talk(port, request + b"connection: close\r\n\r\n")).startswith(b"HTTP/1.1 502 ")
            head_only = await talk(port, request.replace(b"GET", b"HEAD") + b"connection: close\r\n\r\n")
            assert head_only.startswith(b"HTTP/1.1 502 ")
            assert head_only.endswith(b"\r\n\r\n")

    run(work())
