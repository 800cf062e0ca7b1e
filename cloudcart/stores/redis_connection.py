"""One connection to a Redis-protocol server: commands go out as they come, answers come back in the same order.

Nothing else: no pool, no reconnecting, no time limit; those are ``stores.redis``. A general client costs more per
command than a whole request may cost at the gateway, which asks Redis for each of its requests.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from cloudcart.exceptions import UsageError

Part: TypeAlias = str | int | float | bytes

_PORT: Final = 6379


class RedisConnection(asyncio.Protocol):
    """An open connection; made by :func:`connect`."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace")
        self._answers: deque[asyncio.Future[Any]] = deque()
        self._loop = asyncio.get_running_loop()

    @property
    def usable(self) -> bool:
        """Whether commands may be sent."""
        return not self._transport.is_closing()

    def send(self, *parts: Part) -> asyncio.Future[Any]:
        """Send a command and return its answer to come, which fails with ConnectionError if the connection is lost.

        An error that the server answers is a result: a ``hiredis.ReplyError``.
        """
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._answers.append(answer)
        packed = hiredis.pack_command(parts)  # type: ignore[arg-type]  # its stub means a tuple of one part
        self._transport.write(packed)
        return answer

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have come: parts of answers."""
        try:
            self._reader.feed(data)
            while self._answers and (answer := self._reader.gets()) is not False:
                waiting = self._answers.popleft()
                if not waiting.done():  # its caller may have gone
                    waiting.set_result(answer)
        except hiredis.ProtocolError:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        while self._answers:
            waiting = self._answers.popleft()
            if not waiting.done():
                waiting.set_exception(ConnectionError(f"Redis closed the connection: {exc or 'no reason given'}"))


async def connect(url: str) -> RedisConnection:
    """Return a connection that has logged in and selected its database.

    Args:
        url: ``redis://[[user]:password@]host[:port][/database]`` or ``unix://[[user]:password@]/path[?db=database]``.

    Raises:
        OSError: nobody answers, the server refuses, or there is no address.
        UsageError: the address has neither form.
    """
    if not url:
        raise ConnectionError("no address of Redis is set")
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    if parts.scheme == "unix":
        _, connection = await loop.create_unix_connection(RedisConnection, unquote(parts.path))
        database = parse_qs(parts.query).get("db", ["0"])[0]
    elif parts.scheme == "redis":
        _, connection = await loop.create_connection(
            RedisConnection, parts.hostname or "localhost", parts.port or _PORT
        )
        database = parts.path.strip("/") or "0"
    else:
        raise UsageError(f"stores.redis is written as redis://host:port/0 or unix:///path, not {url!r}")
    if parts.password:
        user = [unquote(parts.username)] if parts.username else []
        await _require(connection, "AUTH", *user, unquote(parts.password))
    if database != "0":
        await _require(connection, "SELECT", database)
    return connection


async def _require(connection: RedisConnection, *command: str) -> None:
    answer = await connection.send(*command)
    if isinstance(answer, hiredis.ReplyError):
        connection.abort()
        raise ConnectionError(f"Redis refused {command[0]}: {answer}")
