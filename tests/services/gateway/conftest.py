"""A gateway between a client and services that do as they are told: real sockets behind it, ASGI in front of it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from prometheus_client import CollectorRegistry

from cloudcart.services.gateway import create_app
from cloudcart.services.security import Principal, ServiceTokens, TokenSigner
from cloudcart.services.server import OneWriteProtocol
from cloudcart.settings import Auth, Settings, Stores, Urls

UPSTREAMS = ("users", "products", "orders", "chaos", "notifications")


@dataclass
class Asked:
    """A request as a service saw it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class FakeService:
    """A service whose answer a test chooses; ``answer`` may wait, and may return None to cut the connection."""

    answer: Callable[[Asked], Awaitable[Answer | None]]
    asked: list[Asked] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while (request := await self._read(reader)) is not None:
                self.asked.append(request)
                answer = await self.answer(request)
                if answer is None:
                    return
                status, headers, body = answer
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._open.discard(writer)
            writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> Asked | None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        length = int(dict(headers).get("content-length", 0))
        return Asked(method, target, headers, await reader.readexactly(length))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(lambda *pair: self.handle(*pair), "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for writer in tuple(self._open):
                writer.close()
            await server.wait_closed()
            await asyncio.sleep(0)


async def ok(_asked: Asked) -> Answer:
    return 200, {"content-type": "application/json"}, b'{"fine": true}'


@dataclass
class Edge:
    """A running gateway: its client, the services behind it, its metrics."""

    app: Any
    client: httpx.AsyncClient
    services: dict[str, FakeService]
    registry: CollectorRegistry
    settings: Settings

    def token(self, user_id: int = 7, *, admin: bool = False) -> dict[str, str]:
        """Return the header of a user's requests."""
        token = TokenSigner(self.settings.auth).issue(Principal(user_id, f"user{user_id}", admin))
        return {"authorization": f"Bearer {token}"}

    def service_token(self) -> dict[str, str]:
        name, value = ServiceTokens(self.settings.auth, "lab").header()
        return {name.decode(): value.decode()}

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric's value, 0 where there is no such series."""
        return self.registry.get_sample_value(name, labels) or 0.0

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)


@asynccontextmanager
async def living(app: Any) -> AsyncIterator[None]:
    """Run an application's lifespan."""
    incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outgoing: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, incoming.get, outgoing.put))
    await incoming.put({"type": "lifespan.startup"})
    started = await outgoing.get()
    assert started["type"] == "lifespan.startup.complete", started
    try:
        yield
    finally:
        await incoming.put({"type": "lifespan.shutdown"})
        await task


@pytest.fixture(scope="session")
def auth() -> Auth:
    key = Ed25519PrivateKey.generate()
    return Auth(
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        public_key=key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        service_secret="a secret of the tests that is long enough",
    )


@pytest.fixture
def edge(auth: Auth, caplog: pytest.LogCaptureFixture) -> Callable[..., Any]:
    """Return a context manager that runs a gateway: ``async with edge({"gateway.cache": "off"}, lab=True) as it``.

    Nobody listens where the services in ``down`` should be. With ``replicas=2`` there is a service ``products/1``, too.
    """
    caplog.set_level(logging.CRITICAL, logger="cloudcart")  # undone with the test

    @asynccontextmanager
    async def run(
        overrides: dict[str, object] | None = None,
        *,
        redis: str = "",
        lab: bool = True,
        down: tuple[str, ...] = (),
        replicas: int = 1,
    ) -> AsyncIterator[Edge]:
        async with AsyncExitStack() as stack:
            further = [f"products/{number}" for number in range(1, replicas)]
            services = {name: FakeService(ok) for name in (*UPSTREAMS, *further)}
            urls = {name: await stack.enter_async_context(service.serving()) for name, service in services.items()}
            urls |= dict.fromkeys(down, "http://127.0.0.1:1")
            more = tuple(urls.pop(name) for name in further)
            settings = Settings(
                lab=lab,
                log_level="error",
                auth=auth,
                urls=Urls(**{**urls, "chaos": urls["chaos"], "products_replicas": more}),
                stores=Stores(redis=redis),
            ).with_overrides(overrides or {})
            registry = CollectorRegistry()
            app = create_app(settings, registry=registry)
            await stack.enter_async_context(living(app))
            transport = httpx.ASGITransport(app, client=("192.0.2.7", 1234))
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://shop"))
            yield Edge(app, client, services, registry, settings)

    return run


@pytest.fixture
def listening() -> Callable[[Any], Any]:
    """Return a context manager that serves an application on a socket as a lab does, and gives its port."""

    @asynccontextmanager
    async def serve(app: Any) -> AsyncIterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(
                app, http=OneWriteProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
                interface="asgi3", server_header=False, proxy_headers=False, timeout_graceful_shutdown=1,
            )  # fmt: skip
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

    return serve
