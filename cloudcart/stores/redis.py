"""Redis (or Valkey) as the services use it: commands and scripts with a short time limit, errors in one shape.

Nothing in Redis is worth waiting for: after a failure calls fail at once for a moment, so that a lost server costs a
request nothing. What to do without Redis is each caller's decision. Not here: what is kept under which key.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import redis.asyncio
from prometheus_client import Counter
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from cloudcart.exceptions import StoreError
from cloudcart.telemetry.metrics import Telemetry

_TIME_LIMIT: Final = 0.25  # seconds for one command
_PAUSE: Final = 1.0  # seconds after a failure in which nothing is tried
_CONNECTIONS: Final = 16


class Redis:
    """One server. Belongs to one event loop.

    Args:
        url: as ``redis://host:port/0`` or ``unix:///path``.
        telemetry: where failures are counted.
    """

    def __init__(self, url: str, telemetry: Telemetry) -> None:
        self._client = redis.asyncio.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIME_LIMIT,
            socket_connect_timeout=_TIME_LIMIT,
            max_connections=_CONNECTIONS,
            retry_on_error=[],
            retry=None,
        )
        self._errors = Counter("redis_errors_total", "Calls to Redis that failed.", registry=telemetry.registry)
        self._away_until = 0.0

    def script(self, lua: str) -> AsyncScript:
        """Return a Lua script that :meth:`run` runs; the server keeps it after its first run."""
        return self._client.register_script(lua)

    async def run(self, script: AsyncScript, keys: Sequence[str], arguments: Sequence[str | int | float] = ()) -> Any:
        """Run a script; it is atomic.

        Raises:
            StoreError: Redis is not there, or was not a moment ago.
        """
        self._check()
        try:
            return await script(keys=list(keys), args=list(arguments))
        except (RedisError, OSError) as error:
            raise self._failed() from error

    async def command(self, *parts: str | int | float | bytes) -> Any:
        """Run one command, as ``command("SET", key, value, "EX", 60)``; raises as :meth:`run`."""
        self._check()
        try:
            return await self._client.execute_command(*parts)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            raise self._failed() from error

    async def ping(self) -> None:
        """Do nothing if Redis answers; raises as :meth:`run` if not, but always tries."""
        self._away_until = 0.0
        await self.command("PING")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _check(self) -> None:
        if time.monotonic() < self._away_until:
            self._errors.inc()
            raise StoreError("Redis was not there a moment ago")

    def _failed(self) -> StoreError:
        self._errors.inc()
        self._away_until = time.monotonic() + _PAUSE
        return StoreError("Redis is not there")
