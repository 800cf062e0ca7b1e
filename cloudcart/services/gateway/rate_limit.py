"""Rate limit: so many requests a client in a sliding window, counted in Redis, or here while Redis is gone.

The window slides by two fixed windows, of which the earlier counts by the share that still lies inside ("sliding window
counter"): two integers a client. Not here: who a client is, and the answer that a refused one gets (``gateway.app``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from cloudcart.exceptions import RefusedError, StoreError

_log = logging.getLogger(__name__)
_CLIENTS: Final = 100_000  # counted in this process at the same time at most

# One call decides for all the clients of a batch. The clock is the server's, so replicas agree; KEYS are the clients,
# ARGV limit, window in milliseconds, and for each client how many requests it makes. Answers for each client how many
# are granted, and after how many milliseconds the next one will be.
SCRIPT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local number, elapsed = math.floor(now / window), now % window
local answers = {}
for place, client in ipairs(KEYS) do
  local key = client .. ':' .. number
  local previous = tonumber(redis.call('GET', client .. ':' .. (number - 1)) or 0)
  local current = tonumber(redis.call('GET', key) or 0)
  local room = math.floor(limit - current - previous * (window - elapsed) / window)
  local granted = math.max(0, math.min(tonumber(ARGV[2 + place]), room))
  if granted > 0 then
    redis.call('INCRBY', key, granted)
    redis.call('PEXPIRE', key, 2 * window)
  end
  answers[#answers + 1] = granted
  answers[#answers + 1] = previous
  answers[#answers + 1] = current + granted
  answers[#answers + 1] = elapsed
end
return answers
"""


RunScript: TypeAlias = Callable[[list[str], list[int]], Awaitable[list[int]]]
"""Runs :data:`SCRIPT` in Redis with keys and arguments; raises StoreError if it cannot."""


def seconds_until_room(limit: int, window: float, previous: int, current: int, elapsed: float) -> float:
    """Return how long a client has to wait until one more request is within its limit.

    Args:
        limit: requests in one window.
        window: its length in seconds.
        previous: requests in the fixed window before this one.
        current: requests in this one.
        elapsed: seconds since this one began.
    """
    if current < limit:  # the earlier window has to slide out far enough
        return max(0.0, window * (1 - (limit - 1 - current) / max(previous, 1)) - elapsed)
    return window - elapsed + window * (1 - (limit - 1) / current)  # this one has to become the earlier one first


class LocalLimit:
    """The same limit, counted in this process alone."""

    def __init__(self, limit: int, window: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._window = window
        self._clock = clock
        # By client: number of the window, previous, current. Who has not come for longest is forgotten first.
        self._counts: OrderedDict[str, tuple[int, int, int]] = OrderedDict()

    def admit(self, client: str) -> float:
        """Count a request and return 0, or do not and return after how many seconds there will be room."""
        number, elapsed = divmod(self._clock(), self._window)
        known, previous, current = self._counts.pop(client, (number, 0, 0))
        if known != number:
            previous, current = (current if known == number - 1 else 0), 0
        if len(self._counts) >= _CLIENTS:
            self._counts.popitem(last=False)
        self._counts[client] = (int(number), previous, current)
        if current + previous * (1 - elapsed / self._window) + 1 > self._limit:
            return seconds_until_room(self._limit, self._window, previous, current, elapsed)
        self._counts[client] = (int(number), previous, current + 1)
        return 0.0

    def clear(self) -> None:
        """Forget everything."""
        self._counts.clear()


class RateLimit:
    """Asks Redis in batches: whoever comes while a question is under way is in the next one.

    So a quiet gateway waits one round trip for each request, and a busy one shares it among many.

    Args:
        run: runs the script; None where there is no Redis.
        limit: requests in one window.
        window: its length in seconds.
        fallback: count here while Redis is away; else refuse everybody.

    Attributes:
        is_local: requests are counted in this process alone, as far as the last one showed.
    """

    def __init__(self, run: RunScript | None, limit: int, window: float, *, fallback: bool = True) -> None:
        self.is_local = run is None
        self._run = run
        self._fallback = fallback
        self._limit = limit
        self._window = window
        self._local = LocalLimit(limit, window)
        self._waiting: dict[str, list[asyncio.Future[float]]] = {}
        self._asking: asyncio.Task[None] | None = None

    def admit(self, client: str) -> asyncio.Future[float]:
        """Count a request and give 0, or do not and give after how many seconds there will be room.

        Without Redis and without a fallback it gives RefusedError, 503.
        """
        verdict: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        if self._run is None:
            verdict.set_result(self._local.admit(client))
            return verdict
        self._waiting.setdefault(client, []).append(verdict)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return verdict

    def clear(self) -> None:
        """Forget what is counted here."""
        self._local.clear()

    async def _ask(self) -> None:
        assert self._run is not None
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, {}
                counts = [len(verdicts) for verdicts in batch.values()]
                try:
                    arguments = [self._limit, int(self._window * 1000), *counts]
                    answers = await self._run([f"rate:{client}" for client in batch], arguments)
                    self._decide(batch, answers)
                    self.is_local = False
                except Exception as error:
                    if not isinstance(error, StoreError):
                        _log.exception("the rate limit could not ask Redis")
                    self.is_local = self._fallback
                    self._decide_here(batch)
                if sum(counts) > 1:
                    await asyncio.sleep(0)  # busy: let the next turn's requests share the next question, too
        finally:
            self._asking = None

    def _decide(self, batch: dict[str, list[asyncio.Future[float]]], answers: list[int]) -> None:
        each = iter(answers)
        for verdicts, granted, previous, current, elapsed in zip(batch.values(), each, each, each, each, strict=True):
            wait = 0.0
            if granted < len(verdicts):
                wait = max(0.001, seconds_until_room(self._limit, self._window, previous, current, elapsed / 1000))
            for place, verdict in enumerate(verdicts):
                if not verdict.done():  # its caller may have gone
                    verdict.set_result(0.0 if place < granted else wait)

    def _decide_here(self, batch: dict[str, list[asyncio.Future[float]]]) -> None:
        for client, verdicts in batch.items():
            for verdict in verdicts:
                if verdict.done():
                    continue
                if self._fallback:
                    verdict.set_result(self._local.admit(client))
                else:
                    verdict.set_exception(RefusedError(503, "requests cannot be counted now; try again shortly"))
