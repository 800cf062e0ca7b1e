"""The links of a lab that go through the fault proxy: one forked process for all, and a socket for each link.

The supervisor holds the listening sockets, so callers wait, and are not refused, while a proxy that died is started
again. The link to the chaos service is left out, since faults must be healed through it, and those to the mock broker,
which advertises its own port. Owned by ``lab.shop``; moving bytes is ``chaos.links``.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from cloudcart.chaos.links.address import Address
from cloudcart.exceptions import LabError
from cloudcart.faults.link import LINKS
from cloudcart.lab.ports import LOOPBACK, listen
from cloudcart.lab.postgres import SOCKET
from cloudcart.lab.process import log_tail
from cloudcart.lab.service_process import fork_to
from cloudcart.settings import WITH_REDIS

if TYPE_CHECKING:
    from cloudcart.lab.kafka import Listeners
    from cloudcart.settings import ServiceName, Settings

CALLS: Final[Mapping[ServiceName, tuple[ServiceName, ...]]] = {
    "gateway": ("users", "products", "orders", "notifications"),
    "orders": ("products", "notifications"),
    "products": ("orders",),
}
"""Which service calls which."""

_LIVED: Final = 1.0  # seconds; a proxy that dies sooner would die again


class Route(NamedTuple):
    """One link, or its way to one replica: its name in targets, the socket that its service calls, the other end."""

    link: str
    listener: socket.socket
    upstream: str


class Links:
    """Every routed link of one lab, and the process that proxies them.

    Args:
        directory: gets the Unix sockets.
        settings: the lab's, with the addresses of services.
        databases: the database's URL for each service that has a schema.
        stores: the address of each store that is routed, by its name in targets: host and port, or a Unix socket.
        broker: the listeners of the broker, if it can tell a proxy's port to its clients.
        log: the process's.
    """

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        databases: Mapping[str, str],
        stores: Mapping[str, str],
        broker: Listeners | None,
        log: Path,
    ) -> None:
        self._directory, self._settings, self._log = directory, settings, log
        self._routes: list[Route] = []
        self._overrides: dict[str, dict[str, object]] = {}
        self._pid: int | None = None
        self._started = 0.0
        for service, url in databases.items():
            at = self._route_store(service, "postgres", SOCKET, stores)
            self._override(service, "stores.database", _at_address(url, at))
        for service in WITH_REDIS:
            at = self._route_store(service, "redis", "valkey.sock", stores)
            self._override(service, "stores.redis", f"unix://{at.path}" if at.path else f"redis://{at}")
        if broker is not None:
            self._route_broker(broker)
        for caller, peers in CALLS.items():
            for peer in peers:
                first, *more = [self._route_call(caller, peer, base) for base in settings.urls.of(peer)]
                self._override(caller, f"urls.{peer}", first)
                if more:
                    self._override(caller, f"urls.{peer}_replicas", more)

    def settings_of(self, service: str) -> Mapping[str, object]:
        """Return the settings that lead a service's links through the proxy."""
        return self._overrides.get(service, {})

    @property
    def pids(self) -> dict[str, int]:
        """The proxy's pid, while it has a process."""
        return {} if self._pid is None else {LINKS: self._pid}

    def start(self) -> None:
        """Start the process; callers wait until it is there."""
        self._started = time.monotonic()
        keep = [route.listener.fileno() for route in self._routes]
        self._pid = fork_to(self._serve, self._log, keep=keep)

    def reap(self) -> None:
        """Start the proxy again if it has died.

        Raises:
            LabError: it had just been started.
        """
        if self._pid is None:
            return
        pid, _ = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            self._pid = None
            if time.monotonic() - self._started < _LIVED:
                raise LabError(f"the fault proxy died as soon as it was started{log_tail(self._log)}")
            self.start()

    def stop(self) -> None:
        """End the process and let the sockets go."""
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = None
        for route in self._routes:
            route.listener.close()

    def _override(self, service: str, name: str, value: object) -> None:
        self._overrides.setdefault(service, {})[name] = value

    def _route_broker(self, broker: Listeners) -> None:
        for service, listener in broker.proxies.items():
            self._routes.append(Route(f"{service}->kafka", listener, broker.upstream(service)))
            self._override(service, "stores.kafka", _tcp_address(listener))

    def _route_store(self, service: str, store: str, name: str, stores: Mapping[str, str]) -> Address:
        """Route a link to a store, and return where its service goes: the same kind of address as the store's own."""
        upstream = Address.parse(stores[store])
        listener = listen(0) if not upstream.path else self._unix_listener(service, name)
        self._routes.append(Route(f"{service}->{store}", listener, str(upstream)))
        return Address.parse(listener.getsockname() if upstream.path else _tcp_address(listener))

    def _unix_listener(self, service: str, name: str) -> socket.socket:
        folder = self._directory / service
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / name))
        listener.listen(2048)
        listener.setblocking(False)
        return listener

    def _route_call(self, caller: str, peer: str, base: str) -> str:
        upstream = urlsplit(base).netloc
        listener = listen(0)
        self._routes.append(Route(f"{caller}->{peer}", listener, upstream))
        return f"http://{_tcp_address(listener)}"

    def _serve(self) -> None:
        import asyncio

        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_proxy(self._routes, self._settings))


async def _proxy(routes: list[Route], settings: Settings) -> None:
    from cloudcart.chaos.links.faults import LinkFaults
    from cloudcart.chaos.links.proxy import LinkProxy
    from cloudcart.services.assemble import follow_control_plane

    faults = LinkFaults(lab=True, seed=settings.chaos.seed)
    for route in routes:
        await LinkProxy(route.link, Address.parse(route.upstream), faults).listen(route.listener)
    await follow_control_plane(LINKS, settings, faults, [route.link for route in routes])


def _tcp_address(listener: socket.socket) -> str:
    return f"{LOOPBACK}:{listener.getsockname()[1]}"


def _at_address(url: str, address: Address) -> str:
    from sqlalchemy.engine import make_url

    database = make_url(url)
    if address.path:  # libpq wants the folder
        database = database.update_query_dict({"host": str(Path(address.path).parent)})
    else:
        database = database.set(host=address.host, port=address.port)
    return database.render_as_string(hide_password=False)
