"""The shop's faults in somebody's own application: what it serves, calls, asks of stores, publishes and consumes.

One :class:`Hooks` for each process and application, one line for each thing that faults are to act on. It acts only in
a lab, so it may stay in production code. Not here: a middleware alone, which is ``cloudcart.ChaosMiddleware``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from cloudcart.chaos.foreign import control_plane, follow, make_active
from cloudcart.exceptions import UsageError
from cloudcart.faults import Fault, Place
from cloudcart.hooks.gate import Gate
from cloudcart.hooks.shared import SharedFaults

if TYPE_CHECKING:
    import httpx
    from faststream import BaseMiddleware
    from prometheus_client import CollectorRegistry

    from cloudcart.chaos.active import ActiveFaults
    from cloudcart.chaos.middleware import ASGIApp, ChaosMiddleware
    from cloudcart.hooks.aiohttp_client import ChaosClientMiddleware
    from cloudcart.hooks.httpx_client import AsyncChaosTransport, ChaosTransport

T = TypeVar("T")
_PLACES: Final[tuple[Place, ...]] = ("exchange", "store", "broker")


class Hooks:
    """Faults in one process of an application.

    ::

        hooks = Hooks("mine")
        app.add_middleware(ChaosMiddleware, active=hooks.active)
        client = httpx.AsyncClient(transport=hooks.async_httpx_transport())
        session = aiohttp.ClientSession(middlewares=[hooks.aiohttp_middleware()])
        engine = hooks.sqlalchemy_engine(create_engine(..))
        cache = hooks.redis_client(Redis(..))
        broker = KafkaBroker(middlewares=[hooks.faststream_middleware()])

    It acts only where a lab is declared, by ``lab=True`` or ``CLOUDCART_LAB=1``. Where the environment names a control
    plane, a thread follows it, so make one in each process, not before it forks.

    Args:
        service: the name by which targets call this application.
        faults: active from now on, as values or documents; ``CLOUDCART_FAULTS`` adds more.
        lab: whether this is a lab; None: what ``CLOUDCART_LAB`` says.
        peers: names for what is called, by ``host`` or ``host:port``; a host without a name is its own.

    Raises:
        FaultError: a document makes no sense.
    """

    def __init__(
        self,
        service: str = "app",
        *,
        faults: Sequence[Fault | Mapping[str, object]] = (),
        lab: bool | None = None,
        peers: Mapping[str, str] | None = None,
    ) -> None:
        self.active: ActiveFaults = make_active(service, faults, lab, kind=SharedFaults, places=_PLACES)
        self._peers = dict(peers or {})
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        url = control_plane() if self.active.lab else ""
        if url:
            self._follow(url)

    # What it serves

    def asgi(self, app: ASGIApp) -> ChaosMiddleware:
        """Return an ASGI application around ``app`` in which faults act on requests."""
        from cloudcart.chaos.middleware import ChaosMiddleware

        return ChaosMiddleware(app, active=self.active)

    # What it calls

    def httpx_transport(self, transport: httpx.BaseTransport | None = None) -> ChaosTransport:
        """Return a transport for ``httpx.Client``, around ``transport`` or httpx's own."""
        import httpx

        from cloudcart.hooks.httpx_client import ChaosTransport

        return ChaosTransport(self.active, self._peer, transport or httpx.HTTPTransport())

    def async_httpx_transport(self, transport: httpx.AsyncBaseTransport | None = None) -> AsyncChaosTransport:
        """Return a transport for ``httpx.AsyncClient``, around ``transport`` or httpx's own."""
        import httpx

        from cloudcart.hooks.httpx_client import AsyncChaosTransport

        return AsyncChaosTransport(self.active, self._peer, transport or httpx.AsyncHTTPTransport())

    def aiohttp_middleware(self) -> ChaosClientMiddleware:
        """Return a middleware for ``aiohttp.ClientSession(middlewares=[..])``.

        Raises:
            UsageError: aiohttp is not installed, or older than 3.12.
        """
        _require("aiohttp", "ClientMiddlewareType", "aiohttp>=3.12")
        from cloudcart.hooks.aiohttp_client import ChaosClientMiddleware

        return ChaosClientMiddleware(self.active, self._peer)

    # What it asks of its stores

    def sqlalchemy_engine(self, engine: T, *, peer: str = "database") -> T:
        """Let faults act on each statement of an engine, synchronous or not, and return the engine.

        Args:
            engine: of SQLAlchemy.
            peer: the name of this database in targets of faults on calls, as ``mine->database``.

        Raises:
            UsageError: SQLAlchemy is not installed.
        """
        _require("sqlalchemy", "Engine", "sqlalchemy>=2")
        from cloudcart.hooks.sqlalchemy_engine import attach

        return attach(engine, Gate(self.active, "postgres", peer))

    def redis_client(self, client: T, *, peer: str = "cache") -> T:
        """Let faults act on each command of a redis-py client, synchronous or not, and return the client.

        Args:
            client: of redis-py.
            peer: the name of this server in targets of faults on calls, as ``mine->cache``.

        Raises:
            UsageError: redis is not installed.
        """
        _require("redis", "Redis", "redis>=5")
        from cloudcart.hooks.redis_client import attach

        return attach(client, Gate(self.active, "redis", peer))

    # What it publishes and consumes

    def faststream_middleware(self) -> type[BaseMiddleware[Any, Any]]:
        """Return a middleware for FastStream's ``KafkaBroker(middlewares=[..])``.

        Raises:
            UsageError: FastStream is not installed.
        """
        _require("faststream", "BaseMiddleware", "'faststream[kafka]'")
        from cloudcart.hooks.faststream_broker import middleware

        return middleware(self.active)

    # What became of it

    def metrics(self, registry: CollectorRegistry) -> None:
        """Show what faults did here on a registry of prometheus_client, as the shop's services do."""
        from cloudcart.chaos.metrics import ChaosMetrics

        ChaosMetrics(self.active, registry)

    def close(self) -> None:
        """End every fault, and stop following the control plane. Idempotent."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None
        self.active.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _peer(self, host: str, port: int | None) -> str:
        return self._peers.get(f"{host}:{port}") or self._peers.get(host, host)

    def _follow(self, url: str) -> None:
        """Follow the control plane in a thread: synchronous code has no loop, and a busy one would lose the lease."""
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run, args=(loop, self.active, url), name="cloudcart-hooks", daemon=True)
        self._thread.start()


def _run(loop: asyncio.AbstractEventLoop, active: ActiveFaults, url: str) -> None:
    asyncio.set_event_loop(loop)
    following = loop.create_task(follow(active, url))
    try:
        loop.run_forever()
        following.cancel()
        loop.run_until_complete(asyncio.gather(following, return_exceptions=True))
    finally:
        loop.close()


def _require(module: str, name: str, requirement: str) -> None:
    """Refuse with the command that installs what is missing."""
    from importlib import import_module

    try:
        found = hasattr(import_module(module), name)
    except ImportError:
        found = False
    if not found:
        raise UsageError(f"{requirement} is not installed; run: pip install {requirement}")
