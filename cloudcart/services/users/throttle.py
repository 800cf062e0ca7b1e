"""Limits how often a password can be guessed: so many failed log-ins per user and minute, counted in Redis.

Without Redis each process counts for itself: worse, and better than nothing. Used by the log-in only; the number of
requests of any kind is limited by the gateway.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

from cloudcart.exceptions import RefusedError, StoreError
from cloudcart.stores.redis import Redis

_WINDOW: Final = 60  # seconds
_REMEMBERED: Final = 10_000  # names that a process counts without Redis

_COUNT: Final = """
local failures = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return {failures, redis.call('TTL', KEYS[1])}
"""
_FORGET_ALL: Final = """
for _, key in ipairs(redis.call('KEYS', 'login:*')) do redis.call('DEL', key) end
"""


class LoginThrottle:
    """Counts failures.

    Args:
        redis: where they are counted for all processes.
        attempts: failures per minute that are let pass.
    """

    def __init__(self, redis: Redis, attempts: int) -> None:
        self._redis = redis
        self._attempts = attempts
        self._count_script = redis.script(_COUNT)
        self._forget_script = redis.script(_FORGET_ALL)
        self._here: OrderedDict[str, tuple[int, float]] = OrderedDict()  # the oldest failures first

    async def check(self, name: str) -> None:
        """Do nothing while ``name`` may be tried.

        Raises:
            RefusedError: 429 with the seconds to wait.
        """
        failures, seconds = await self._count(name, 0)
        if failures >= self._attempts:
            raise RefusedError(429, "too many failed log-ins; wait a minute", retry_after=max(1, seconds))

    async def failed(self, name: str) -> None:
        """Count a failure."""
        await self._count(name, 1)

    async def forget_all(self) -> None:
        """Begin anew (reset of a lab)."""
        self._here.clear()
        try:
            await self._redis.run(self._forget_script, [])
        except StoreError:
            return  # nothing is kept in a Redis that is gone

    async def _count(self, name: str, failures: int) -> tuple[int, int]:
        try:
            count, seconds = await self._redis.run(self._count_script, [f"login:{name}"], [failures, _WINDOW])
            return int(count), int(seconds)
        except StoreError:
            return self._count_here(name, failures)

    def _count_here(self, name: str, failures: int) -> tuple[int, int]:
        now = time.monotonic()
        count, until = self._here.get(name, (0, 0.0))
        if until <= now:
            count, until = 0, now + _WINDOW
        if failures:
            self._here[name] = (count + failures, until)
            self._here.move_to_end(name)
            if len(self._here) > _REMEMBERED:
                self._here.popitem(last=False)
        return count + failures, int(until - now)
