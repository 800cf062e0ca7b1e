"""Services of the shop on real stores, each on a socket of its own in the test's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from cloudcart.lab.broker import Broker
from cloudcart.lab.postgres import Postgres
from cloudcart.lab.valkey import Valkey
from cloudcart.services import create_service, prepare_database, service_tables
from cloudcart.services.security import Principal, ServiceTokens, TokenSigner
from cloudcart.settings import Auth, ServiceName, Settings, Stores, Urls
from cloudcart.stores.database import conninfo

ADMIN_PASSWORD = "admin-password"
NO_KAFKA = "127.0.0.1:9"  # the discard port: nobody listens, and a connection is refused at once
DEMO_PASSWORD = "demo-password"


@pytest.fixture(scope="session")
def auth() -> Auth:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Auth(
        private_key=SecretStr(private),
        public_key=key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        service_secret=SecretStr("a-shared-secret-of-tests-that-is-long-enough"),
        bcrypt_rounds=4,
        admin_password=SecretStr(ADMIN_PASSWORD),
        demo_password=SecretStr(DEMO_PASSWORD),
    )


@pytest.fixture(scope="session")
def database_urls(postgres: Postgres) -> dict[str, str]:
    return prepare_database(postgres.url(driver="+psycopg"))


@pytest.fixture
def admin_sql(postgres: Postgres, database_urls: dict[str, str]) -> Iterator[psycopg.Connection[Any]]:
    """A connection that may see and change everything; all tables are empty when the test begins."""
    tables = [f"{name}.{table}" for name, metadata in service_tables().items() for table in metadata.tables]
    with psycopg.connect(conninfo(postgres.url()), autocommit=True) as connection:
        connection.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
        yield connection


@dataclass
class Shop:
    """Services that run, and what a test needs to talk to them."""

    auth: Auth
    urls: dict[str, str]
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    def __getattr__(self, name: str) -> httpx.AsyncClient:
        try:
            return self.__dict__["clients"][name]
        except KeyError:
            raise AttributeError(name) from None

    def bearer(self, user_id: int = 7, *, admin: bool = False) -> dict[str, str]:
        token = TokenSigner(self.auth).issue(Principal(user_id, f"user{user_id}", admin))
        return {"authorization": f"Bearer {token}"}

    @property
    def admin(self) -> dict[str, str]:
        return self.bearer(1, admin=True)

    @property
    def internal(self) -> dict[str, str]:
        name, value = ServiceTokens(self.auth, "tests").header()
        return {name.decode(): value.decode()}

    async def metric(self, service: str, name: str, **labels: str) -> float:
        """The value of a sample of ``/metrics``; 0 if there is none."""
        text = (await self.clients[service].get("/metrics")).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return 0.0


class _Server(uvicorn.Server):
    """Leaves the test process's signal handlers alone."""

    def capture_signals(self) -> Any:
        return nullcontext()


@asynccontextmanager
async def _served(app: Any, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=1, timeout_keep_alive=60
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await task


StartShop = Callable[..., AbstractAsyncContextManager[Shop]]


@pytest.fixture
def fresh_broker(short_directory: Path) -> Iterator[Broker]:
    """A broker that knows no consumer groups yet: the leavings of another test would hold up the next join."""
    with Broker(short_directory / "fresh-broker") as server:
        yield server


@pytest.fixture(scope="session")
def settings_for(auth: Auth, database_urls: dict[str, str], valkey: Valkey) -> Callable[..., Settings]:
    """Settings of one service on the stores of this test process."""

    def make(name: ServiceName, urls: Mapping[str, str], overrides: Mapping[str, object], kafka: str) -> Settings:
        stores = Stores(database=SecretStr(database_urls.get(name, "")), redis=valkey.url, kafka=kafka, kafka_session=4)
        settings = Settings(lab=True, log_level="warning", stores=stores, urls=Urls(**urls), auth=auth)
        return settings.with_overrides(overrides)

    return make


@pytest.fixture
def start_shop(settings_for: Callable[..., Settings], admin_sql: psycopg.Connection[Any], auth: Auth) -> StartShop:
    """``async with start_shop("orders", "products") as shop``: services on sockets, their tables empty at first."""

    @asynccontextmanager
    async def start(
        *names: ServiceName,
        overrides: Mapping[str, object] | None = None,
        kafka: str = NO_KAFKA,
        urls: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Shop]:
        async with AsyncExitStack() as stack:
            listeners = {name: stack.enter_context(contextlib.closing(_listener())) for name in names}
            addresses = {name: f"http://127.0.0.1:{each.getsockname()[1]}" for name, each in listeners.items()}
            shop = Shop(auth, addresses | dict(urls or {}))
            for name in names:
                settings = settings_for(name, shop.urls, overrides or {}, kafka)
                await stack.enter_async_context(_served(create_service(name, settings), listeners[name]))
                client = httpx.AsyncClient(base_url=addresses[name], timeout=10)
                shop.clients[name] = await stack.enter_async_context(client)
            for client in shop.clients.values():
                await wait_for(lambda client=client: _is_ready(client))
            yield shop

    return start


async def _is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/ready")).status_code == 200


def _listener() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


async def wait_for(condition: Callable[[], Awaitable[Any]], patience: float = 10.0) -> Any:
    """Wait until ``condition`` is true and return what it returned; say what it was if it never is."""
    deadline = time.monotonic() + patience
    while True:
        seen = await condition()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"still {seen!r} after {patience:g} s"
        await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Awaitable[Any]]:
    return wait_for
