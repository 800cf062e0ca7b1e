"""A server that echoes, a proxy in front of it, and clients that wait for what they expect."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from cloudcart.chaos.links.address import Address
from cloudcart.chaos.links.faults import LinkFaults
from cloudcart.chaos.links.proxy import LinkProxy
from cloudcart.faults import parse_fault

LINK = "products->postgres"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Rig:
    """A proxy on a link to an echo server. ``serve`` replaces what the server does with a connection."""

    def __init__(self, proxy: LinkProxy, faults: LinkFaults, address: Address) -> None:
        self.proxy, self.faults, self.address = proxy, faults, address
        self.writers: list[asyncio.StreamWriter] = []
        self._ids = itertools.count()

    def inject(self, kind: str, **fields: Any) -> str:
        fault_id = f"{kind}-{next(self._ids)}"
        self.faults.add(parse_fault({"kind": kind, "target": LINK, "ttl": "30s", **fields}), fault_id)
        return fault_id

    def counts(self, fault_id: str) -> tuple[int, int]:
        return self.faults.counts()[fault_id]

    async def connect(self) -> Streams:
        if self.address.path:
            streams = await asyncio.open_unix_connection(self.address.path)
        else:
            streams = await asyncio.open_connection(self.address.host, self.address.port)
        self.writers.append(streams[1])
        return streams


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def open_rig(*, serve: Any = echo, unix: Path | None = None) -> AsyncIterator[Rig]:
    faults = LinkFaults()
    if unix is not None:
        server = await asyncio.start_unix_server(serve, unix / "up.sock")
        upstream, listen = Address(path=str(unix / "up.sock")), Address(path=str(unix / "down.sock"))
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        upstream, listen = Address(*server.sockets[0].getsockname()[:2]), Address("127.0.0.1", 0)
    proxy = LinkProxy(LINK, upstream, faults)
    try:
        links = Rig(proxy, faults, await proxy.listen(listen))
        yield links
        for writer in links.writers:
            writer.transport.abort()
    finally:
        faults.clear()
        proxy.close()
        faults.close()
        server.close()
        await wait_until(lambda: proxy.connections == 0)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- what is waited for does not know of this test
            await asyncio.sleep(0.002)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine on either event loop."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def runs(work: Coroutine[Any, Any, Any]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(20):
                return await work

        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(bounded())

    return runs


@pytest.fixture
def rig() -> Callable[..., Any]:
    """Open a rig: ``async with rig() as links``."""
    return open_rig


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait until a condition holds."""
    return wait_until
