"""The client against servers that behave, and against one that answers exactly the bytes it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcart.exceptions import (
    OutcomeUnknownError,
    UpstreamBrokenError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
    UsageError,
)
from cloudcart.services.http_client import HttpClient
from cloudcart.telemetry.context import RequestContext, current

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CUT = b""  # an answer that a script ends a connection with

Handler = Callable[["Scripted", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Scripted:
    """A server that answers the n-th request it gets, on whatever connection, with the n-th script; keeps requests."""

    def __init__(self, *answers: bytes, close_after: bool = False) -> None:
        self.answers = list(answers)
        self.close_after = close_after
        self.requests: list[bytes] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await self.read_request(reader))
                answer = self.answers.pop(0)
                if answer == CUT:
                    return
                writer.write(answer)
                await writer.drain()
                if self.close_after:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()

    @staticmethod
    async def read_request(reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + (await reader.readexactly(int(length[0].split(b":")[1])) if length else b"")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[HttpClient, str]]:
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        client = HttpClient(max_body=100_000)
        try:
            yield client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            await client.aclose()
            server.close()
            await server.wait_closed()


def one(answer: bytes, method: str = "GET", **kwargs: object) -> tuple[int, bytes]:
    """Return status and body of one request to a server with this answer."""

    async def run() -> tuple[int, bytes]:
        async with Scripted(answer, close_after=True).serving() as (client, base):
            response = await client.request(method, base, "/", timeout=5, **kwargs)  # type: ignore[arg-type]
            return response.status, response.body

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK, (200, b"ok")),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n3;x=y\r\nabc\r\n0\r\nx-t: 1\r\n\r\n",
            (200, b"okabc"),
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n", (304, b"")),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", (200, b"until the end")),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", (200, b"ok")),
        (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK, (200, b"ok")),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nx-empty:\r\nx-next: 1\r\n\r\n", (404, b"")),
    ],
    ids=["length", "chunked with trailer", "204", "304", "until close", "HTTP/1.0", "interim", "empty header"],
)
def test_reads_every_framing(answer: bytes, expected: tuple[int, bytes]) -> None:
    assert one(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx y: 1\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 400_000,
        b"HTTP/1.1 200 OK\r\n" + b"x-many: 1\r\n" * 40_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100001\r\n\r\n" + b"x" * 100_001,
        b"HTTP/1.1 100 Continue\r\n\r\n",
        CUT,
    ],
    ids=[
        "short body", "cut chunks", "chunks and length", "length and chunks", "two lengths", "same length twice",
        "negative length", "bad chunk size", "bad header name", "upgrade", "garbage", "long header", "many headers",
        "large body", "interim only", "nothing",
    ],
)  # fmt: skip
def test_an_answer_that_is_not_plain_http_breaks(answer: bytes) -> None:
    with pytest.raises(UpstreamBrokenError) as caught:
        one(answer)
    assert isinstance(caught.value, OutcomeUnknownError)


def test_a_head_answer_has_no_body_and_the_connection_goes_on() -> None:
    async def run() -> None:
        server = Scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", OK)
        async with server.serving() as (client, base):
            head = await client.request("HEAD", base, "/", timeout=5)
            assert (head.status, head.body, head.header(b"content-length")) == (200, b"", b"1000")
            assert (await client.request("GET", base, "/", timeout=5)).body == b"ok"
        assert server.connections == 1

    asyncio.run(run())


@pytest.mark.parametrize("surplus", [OK, b"x", b"HTTP/1.1 500 Oops\r\nx: y\r\n\r\n"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_bytes_that_nobody_asked_for_never_answer_the_next_request(method: str, surplus: bytes) -> None:
    async def run() -> None:
        server = Scripted(OK.removesuffix(b"ok") + (b"ok" if method == "GET" else b"") + surplus, OK)
        async with server.serving() as (client, base):
            first = await client.request(method, base, "/", timeout=5)
            assert (first.status, first.header(b"x")) == (200, None)
            assert (await client.request("GET", base, "/2", timeout=5)).body == b"ok"
        assert server.connections == 2

    asyncio.run(run())


def test_keeps_a_connection_alive_and_closes_on_request() -> None:
    async def run() -> None:
        server = Scripted(OK, OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), OK)
        async with server.serving() as (client, base):
            for _ in range(3):
                assert (await client.request("GET", base, "/", timeout=5)).status == 200
        assert server.connections == 2

    asyncio.run(run())


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"data"), ("DELETE", b"")])
def test_an_idempotent_request_on_a_stale_connection_is_sent_once_more(method: str, body: bytes) -> None:
    async def run() -> None:
        server = Scripted(OK, CUT, OK)
        async with server.serving() as (client, base):
            await client.request("GET", base, "/", timeout=5)
            assert (await client.request(method, base, "/", body=body, timeout=5)).body == b"ok"
        assert (len(server.requests), server.connections) == (3, 2)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "answers", "seen"),
    [("POST", (OK, CUT), 2), ("GET", (CUT,), 1), ("GET", (OK, CUT, CUT), 3)],
    ids=["not idempotent", "not reused", "only once"],
)
def test_any_other_cut_request_is_not_sent_again(method: str, answers: tuple[bytes, ...], seen: int) -> None:
    async def run() -> None:
        server = Scripted(*answers)
        async with server.serving() as (client, base):
            if answers[0] == OK:
                await client.request("GET", base, "/", timeout=5)
            with pytest.raises(UpstreamBrokenError):
                await client.request(method, base, "/", timeout=5)
        assert len(server.requests) == seen

    asyncio.run(run())


class Silent(Scripted):
    """A server that never answers."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.read_request(reader)
        self.asked.set()
        await reader.read()
        self.gone.set()
        writer.close()


def test_a_silent_server_times_out_and_loses_its_connection() -> None:
    async def run() -> None:
        server = Silent()
        async with server.serving() as (client, base):
            with pytest.raises(UpstreamTimeoutError):
                await client.request("GET", base, "/", timeout=0.05)
            await asyncio.wait_for(server.gone.wait(), 5)

    asyncio.run(run())


def test_a_cancelled_caller_closes_the_connection() -> None:
    async def run() -> None:
        server = Silent()
        async with server.serving() as (client, base):
            task = asyncio.create_task(client.request("GET", base, "/"))
            async with asyncio.timeout(5):
                await server.asked.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await server.gone.wait()

    asyncio.run(run())


def test_nobody_listening_is_definite() -> None:
    async def run() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        await server.wait_closed()
        with pytest.raises(UpstreamUnavailableError):
            await HttpClient().request("POST", base, "/", timeout=5)

    asyncio.run(run())


def test_the_request_is_framed_and_carries_the_travelling_ids() -> None:
    async def run() -> None:
        server = Scripted(OK.replace(b"\r\n\r\n", b"\r\nx-cloudcart-fault: f1,f2\r\n\r\n"), OK)
        context = RequestContext("rid", "00-" + "a" * 32 + "-" + "b" * 16 + "-01", request_key="buy/1/2")
        current.set(context)
        async with server.serving() as (client, base):
            await client.request("POST", base, "/a?b=%20", headers=[(b"x-a", b"1")], body=b"{}", timeout=5, attempt=2)
            await client.request("GET", base, "/", timeout=5)
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert body == b"{}"
        assert head.split(b"\r\n")[0] == b"POST /a?b=%20 HTTP/1.1"
        names = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        assert names[b"x-cloudcart-request-key"] == b"buy/1/2/r2"
        assert (names[b"content-length"], names[b"x-a"], names[b"x-request-id"]) == (b"2", b"1", b"rid")
        assert b"content-length" not in server.requests[1]
        assert context.marks == ["f1", "f2"]

    asyncio.run(run())


@pytest.mark.parametrize("path", ["", "x", "/a b", "/a\r\nb", "/\x00", "/ü", "http://other/"])
def test_a_path_that_would_break_the_framing_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        asyncio.run(HttpClient().request("GET", "http://127.0.0.1:1", path))


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\ny", b"a\ry", b"\r\n\r\nGET / HTTP/1.1"])
def test_a_header_with_a_line_break_is_refused(value: bytes) -> None:
    with pytest.raises(UsageError):
        asyncio.run(HttpClient().request("GET", "http://127.0.0.1:1", "/", headers=[(b"x", value)]))


def test_a_stream_comes_in_pieces_and_ends_with_its_reader() -> None:
    async def run() -> None:
        more = asyncio.Event()

        class Streaming(Scripted):
            async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self.read_request(reader)
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                writer.write(b"5\r\nfirst\r\n")
                await more.wait()
                writer.write(b"6\r\nsecond\r\n")
                await reader.read()
                self.gone.set()
                writer.close()

        server = Streaming()
        async with server.serving() as (client, base), asyncio.timeout(5):
            async with client.stream("GET", base, "/events") as (head, pieces):
                assert head.header(b"content-type") == b"text/event-stream"
                assert await anext(pieces) == b"first"
                more.set()
                assert await anext(pieces) == b"second"
            await server.gone.wait()

    asyncio.run(run())


async def read_stream(client: HttpClient, base: str) -> None:
    async with client.stream("GET", base, "/", timeout=5) as (_, pieces):
        async for piece in pieces:
            assert piece == b"half"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", CUT])
def test_a_stream_that_is_cut_says_so(answer: bytes) -> None:
    async def run() -> None:
        async with Scripted(answer, close_after=True).serving() as (client, base):
            with pytest.raises(UpstreamBrokenError):
                await read_stream(client, base)

    asyncio.run(run())


def test_a_slow_reader_holds_a_stream_back() -> None:
    async def run() -> None:
        size = 20_000_000
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size
        async with Scripted(head + bytes(size)).serving() as (client, base), asyncio.timeout(30):
            async with client.stream("GET", base, "/") as (_, pieces):
                total = largest = 0
                async for piece in pieces:
                    total, largest = total + len(piece), max(largest, len(piece))
                    await asyncio.sleep(0.002)
            assert total == size
            assert largest < 1_000_000

    asyncio.run(run())


_NAMES = st.from_regex(rb"x-[a-z]{1,5}", fullmatch=True)
_VALUES = st.from_regex(rb"[!-~]{0,9}", fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=300),
    cuts=st.lists(st.integers(0, 500), max_size=6),
    chunked=st.booleans(),
    pairs=st.lists(st.tuples(_NAMES, _VALUES), max_size=4),
)
def test_any_answer_in_any_segments_is_read_whole(
    body: bytes, cuts: list[int], chunked: bool, pairs: list[tuple[bytes, bytes]]
) -> None:
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(body)
    framed = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n" if chunked else body
    head = b"\r\n".join([b"HTTP/1.1 200 OK", *(b"%b: %b" % pair for pair in pairs), framing])
    answer = head + b"\r\n\r\n" + framed

    class Segmented(Scripted):
        async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.read_request(reader)
            edges = sorted({0, len(answer), *(cut % len(answer) for cut in cuts)})
            for begin, end in pairwise(edges):
                writer.write(answer[begin:end])
                await writer.drain()
                await asyncio.sleep(0)
            writer.close()

    async def run() -> None:
        async with Segmented().serving() as (client, base):
            response = await client.request("GET", base, "/", timeout=10)
            assert (response.status, response.body) == (200, body)
            assert response.headers[:-1] == pairs

    asyncio.run(run())
