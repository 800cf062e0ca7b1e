"""Redis (or Valkey) as the services use it: commands and scripts with a short time limit, errors in one shape.

Nothing in Redis is worth waiting for: after a failure calls fail at once for a moment, so that a lost server costs a
request nothing. What to do without Redis is each caller's decision. Not here: what is kept under which key.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import hiredis
from prometheus_client import Counter

from cloudcart.exceptions import StoreError
from cloudcart.stores.redis_connection import Part, RedisConnection, connect
from cloudcart.telemetry.metrics import Telemetry

_TIME_LIMIT: Final = 0.25  # seconds for connecting, and for one command
_PAUSE: Final = 1.0  # seconds after a failure in which nothing is tried


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script; atomic, and kept by the server after its first run."""

    lua: str
    digest: str


class Redis:
    """One server, over one connection that all callers share. Belongs to one event loop.

    Args:
        url: as ``redis://host:port/0`` or ``unix:///path``.
        telemetry: where failures are counted.
    """

    def __init__(self, url: str, telemetry: Telemetry) -> None:
        self._url = url
        self._connection: RedisConnection | None = None
        self._connecting = asyncio.Lock()
        self._errors = Counter("redis_errors_total", "Calls to Redis that failed.", registry=telemetry.registry)
        self._away_until = 0.0

    def script(self, lua: str) -> Script:
        """Return a Lua script that :meth:`run` runs."""
        return Script(lua, hashlib.sha1(lua.encode(), usedforsecurity=False).hexdigest())

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Part] = ()) -> Any:
        """Run a script.

        Raises:
            StoreError: Redis is not there, was not a moment ago, or refuses.
        """
        answer = await self._ask("EVALSHA", script.digest, len(keys), *keys, *arguments)
        if isinstance(answer, hiredis.ReplyError) and str(answer).startswith("NOSCRIPT"):
            answer = await self._ask("EVAL", script.lua, len(keys), *keys, *arguments)
        return self._accepted(answer)

    async def command(self, *parts: Part) -> Any:
        """Run one command, as ``command("SET", key, value, "EX", 60)``; raises as :meth:`run`."""
        return self._accepted(await self._ask(*parts))

    async def ping(self) -> None:
        """Do nothing if Redis answers; raises as :meth:`run` if not, but always tries."""
        self._away_until = 0.0
        await self.command("PING")

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def _ask(self, *parts: Part) -> Any:
        if time.monotonic() < self._away_until:
            self._errors.inc()
            raise StoreError("Redis was not there a moment ago")
        try:
            connection = self._connection
            if connection is None or not connection.usable:
                connection = await self._connect()
            timer = self._loop.call_later(_TIME_LIMIT, connection.abort)
            try:
                return await connection.send(*parts)
            finally:
                timer.cancel()
        except OSError as error:
            self._away_until = time.monotonic() + _PAUSE
            raise self._failed("Redis is not there") from error

    async def _connect(self) -> RedisConnection:
        async with asyncio.timeout(_TIME_LIMIT), self._connecting:
            if self._connection is None or not self._connection.usable:
                self._connection = await connect(self._url)
                self._loop = asyncio.get_running_loop()
            return self._connection

    def _accepted(self, answer: Any) -> Any:
        if isinstance(answer, hiredis.ReplyError):
            raise self._failed(f"Redis refuses: {answer}")
        return answer

    def _failed(self, sentence: str) -> StoreError:
        self._errors.inc()
        return StoreError(sentence)
