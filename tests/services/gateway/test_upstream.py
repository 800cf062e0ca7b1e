"""How a stream and the circuit breaker of its upstream get along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cloudcart.exceptions import UpstreamUnavailableError
from cloudcart.services.gateway import upstream as module
from cloudcart.services.gateway.bulkhead import Bulkhead
from cloudcart.services.gateway.metrics import GatewayMetrics
from cloudcart.services.gateway.upstream import Upstream
from cloudcart.services.http_client import HttpClient
from cloudcart.settings import Gateway


@asynccontextmanager
async def streaming() -> AsyncIterator[Upstream]:
    """An upstream whose streams begin, send something and end; its breaker opens at once and is then half open."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        writer.close()

    settings, client = Gateway(breaker_failures=1, breaker_reset=0.0), HttpClient()
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        metrics = GatewayMetrics(CollectorRegistry())
        yield Upstream("notifications", base, settings, client, Bulkhead(8, 1.0), metrics)
        await client.aclose()


async def read(upstream: Upstream) -> bytes:
    async with upstream.stream("/stream", []) as (_, pieces):
        return b"".join([piece async for piece in pieces])


def test_a_stream_that_finds_no_room_leaves_the_trial_to_the_next_call(monkeypatch: Any) -> None:
    async def main() -> None:
        async with streaming() as upstream:
            upstream.breaker.failed()
            monkeypatch.setattr(module, "_STREAMS", 0)
            with pytest.raises(UpstreamUnavailableError, match="too many"):
                await read(upstream)
            monkeypatch.undo()
            assert await read(upstream) == b"ok"

    asyncio.run(main())


def test_a_stream_that_ends_leaves_the_trial_of_another_call_alone() -> None:
    async def main() -> None:
        async with streaming() as upstream:
            async with upstream.stream("/stream", []) as (_, pieces):
                upstream.breaker.failed()
                assert upstream.breaker.allow()  # the trial of another call
                assert [piece async for piece in pieces] == [b"ok"]
            assert not upstream.breaker.allow()

    asyncio.run(main())
