"""A proxy for one link: it listens, connects each caller to the other side, and lets faults act in between.

Not here: moving bytes (``connection``), which faults there are (``faults``), and who runs it: the lab (``lab.links``),
or a person (``cloudcart proxy``).
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloudcart.chaos.links.address import Address
from cloudcart.chaos.links.connection import Connection, End
from cloudcart.chaos.links.faults import LinkFaults
from cloudcart.exceptions import LabError

_BACKLOG = 2048


class LinkProxy:
    """The proxy of one link.

    Args:
        link: as targets name it, ``service->peer``.
        upstream: the other side.
        faults: what is active; shared by all proxies of a process.
    """

    def __init__(self, link: str, upstream: Address, faults: LinkFaults) -> None:
        self.link = link
        self.upstream = upstream
        self._faults = faults
        self._connections: set[Connection] = set()
        self._server: asyncio.AbstractServer | None = None
        self._path: Path | None = None
        faults.follow(self._review)

    async def listen(self, at: Address | socket.socket) -> Address:
        """Accept callers from now on, and return where; port 0 finds a free one.

        Raises:
            LabError: the address cannot be taken.
        """
        loop = asyncio.get_running_loop()
        try:
            if isinstance(at, socket.socket) and at.family == socket.AF_UNIX:
                self._server = await loop.create_unix_server(self._accept, sock=at, backlog=_BACKLOG)
                return Address(path=at.getsockname())
            if isinstance(at, socket.socket):
                self._server = await loop.create_server(self._accept, sock=at, backlog=_BACKLOG)
            elif at.path:
                self._path = Path(at.path)
                self._path.unlink(missing_ok=True)
                self._server = await loop.create_unix_server(self._accept, at.path, backlog=_BACKLOG)
            else:
                self._server = await loop.create_server(self._accept, at.host, at.port, backlog=_BACKLOG)
        except OSError as error:
            raise LabError(f"{at} cannot be listened on ({error.strerror or error}); choose another") from None
        if isinstance(at, Address) and at.path:
            return at
        host, port = self._server.sockets[0].getsockname()[:2]
        return Address(host, port)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def close(self, *, for_good: bool = True) -> None:
        """Accept nobody, and cut all connections; with ``for_good=False`` :meth:`listen` may be called again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        for connection in tuple(self._connections):
            connection.end(abruptly=True)
        if for_good:
            with suppress(ValueError):  # closed before
                self._faults.unfollow(self._review)

    def _accept(self) -> End:
        connection = Connection(self.link, self._faults, self._connect, self._connections.discard)
        self._connections.add(connection)
        if self._server is None:  # it was on its way in when the proxy was closed
            connection.end(abruptly=True)
        return connection.near

    async def _connect(self, end: asyncio.BufferedProtocol) -> Any:
        loop = asyncio.get_running_loop()
        if self.upstream.path:
            return await loop.create_unix_connection(lambda: end, self.upstream.path)
        return await loop.create_connection(lambda: end, self.upstream.host, self.upstream.port)

    def _review(self) -> None:
        for connection in tuple(self._connections):
            connection.review()
