"""The rate limit, here and in Redis: a crowd gets it exactly, and who waits as told is admitted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.exceptions import RefusedError, StoreError
from cloudcart.lab.valkey import Valkey
from cloudcart.services.gateway import rate_limit
from cloudcart.services.gateway.rate_limit import SCRIPT, LocalLimit, RateLimit, seconds_until_room
from cloudcart.stores.redis import Redis
from cloudcart.telemetry.metrics import Telemetry

LONG = 3600.0  # a window that does not end while a test runs, except for one in a thousand, which is bounded, too


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_counted_here_so_many_are_admitted_in_a_window() -> None:
    limit = LocalLimit(3, 10.0, clock=Clock())
    assert [limit.admit("a") == 0 for _ in range(5)] == [True, True, True, False, False]
    assert limit.admit("b") == 0
    limit.clear()
    assert limit.admit("a") == 0


def test_a_flood_of_others_does_not_reset_a_client_that_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_CLIENTS", 100)
    limit = LocalLimit(1, 10.0, clock=Clock())
    assert limit.admit("a") == 0
    for number in range(1000):
        limit.admit(f"other {number}")
        if number % 50 == 0:
            assert limit.admit("a") > 0
    assert len(limit._counts) == 100


@given(st.lists(st.floats(0, 7), max_size=60), st.integers(1, 6))
def test_who_waits_as_told_is_admitted_and_who_comes_earlier_is_not(pauses: list[float], limit: int) -> None:
    clock = Clock()
    local = LocalLimit(limit, 10.0, clock=clock)
    for pause in pauses:
        clock.now += pause
        wait = local.admit("a")
        if wait:
            assert 0 < wait <= 20
            clock.now += wait * 0.99
            assert local.admit("a") > 0
            clock.now += wait * 0.01 + 1e-6
            assert local.admit("a") == 0


@given(st.lists(st.floats(0, 3), max_size=200), st.integers(1, 10))
def test_a_fixed_window_never_holds_more_than_the_limit(pauses: list[float], limit: int) -> None:
    clock = Clock()
    local = LocalLimit(limit, 10.0, clock=clock)
    admitted: dict[int, int] = {}
    for pause in pauses:
        clock.now += pause
        if not local.admit("a"):
            window = int(clock.now // 10)
            admitted[window] = admitted.get(window, 0) + 1
    assert all(count <= limit for count in admitted.values())


def test_the_wait_is_until_the_weighted_count_leaves_room() -> None:
    assert seconds_until_room(10, 60.0, previous=0, current=10, elapsed=0.0) == pytest.approx(66.0)
    assert seconds_until_room(10, 60.0, previous=10, current=0, elapsed=0.0) == pytest.approx(6.0)
    assert seconds_until_room(10, 60.0, previous=10, current=0, elapsed=30.0) == 0.0


async def in_redis(valkey: Valkey, limit: int, window: float, use: Callable[[RateLimit], Awaitable[None]]) -> None:
    redis = Redis(valkey.url, Telemetry("test"))
    script = redis.script(SCRIPT)
    try:
        await redis.command("FLUSHDB")
        await use(RateLimit(lambda keys, arguments: redis.run(script, keys, arguments), limit, window))
    finally:
        await redis.close()


def test_in_redis_a_crowd_gets_exactly_the_limit(valkey: Valkey) -> None:
    async def use(limit: RateLimit) -> None:
        verdicts = await asyncio.gather(*(limit.admit(client) for _ in range(40) for client in ("a", "b")))
        assert sum(verdict == 0 for verdict in verdicts) == 2 * 25
        assert all(0 < verdict <= 2 * LONG for verdict in verdicts if verdict)
        assert await limit.admit("c") == 0

    asyncio.run(in_redis(valkey, 25, LONG, use))


def test_two_gateways_share_one_count(valkey: Valkey) -> None:
    async def use(limit: RateLimit) -> None:
        async def other(same: RateLimit) -> None:
            taken = await asyncio.gather(*(one.admit("a") for _ in range(20) for one in (limit, same)))
            assert sum(verdict == 0 for verdict in taken) == 25

        redis = Redis(valkey.url, Telemetry("test"))
        script = redis.script(SCRIPT)
        try:
            await other(RateLimit(lambda keys, arguments: redis.run(script, keys, arguments), 25, LONG))
        finally:
            await redis.close()

    asyncio.run(in_redis(valkey, 25, LONG, use))


def test_keys_expire_with_their_windows(valkey: Valkey) -> None:
    async def use(limit: RateLimit) -> None:
        assert await limit.admit("a") == 0
        redis = Redis(valkey.url, Telemetry("test"))
        try:
            (key,) = await redis.command("KEYS", "rate:a:*")
            assert 0 < await redis.command("PTTL", key) <= 2 * LONG * 1000
        finally:
            await redis.close()

    asyncio.run(in_redis(valkey, 25, LONG, use))


def test_whoever_comes_while_redis_is_asked_shares_the_next_question() -> None:
    async def run() -> None:
        asked, answered = asyncio.Event(), asyncio.Event()
        questions: list[list[int]] = []

        async def slow(_keys: list[str], arguments: list[int]) -> list[int]:
            questions.append(arguments[2:])
            asked.set()
            await answered.wait()
            return [number for count in arguments[2:] for number in (count, 0, count, 0)]

        limit = RateLimit(slow, 10, 60.0)
        first = limit.admit("a")
        await asked.wait()
        rest = [limit.admit(client) for client in "aaab"]
        await asyncio.sleep(0)
        answered.set()
        assert await asyncio.gather(first, *rest) == [0.0] * 5
        assert questions == [[1], [3, 1]]

    asyncio.run(run())


@pytest.mark.parametrize("failure", [StoreError("gone"), RuntimeError("anything")])
def test_without_redis_the_count_goes_on_here(failure: Exception) -> None:
    async def run() -> None:
        async def broken(_keys: list[str], _arguments: list[int]) -> list[int]:
            raise failure

        limit = RateLimit(broken, 3, LONG)
        verdicts = await asyncio.gather(*(limit.admit("a") for _ in range(5)))
        assert sum(verdict == 0 for verdict in verdicts) == 3
        limit.clear()
        assert await limit.admit("a") == 0

    asyncio.run(run())


def test_without_redis_and_fallback_everybody_is_refused() -> None:
    async def run() -> None:
        async def broken(_keys: list[str], _arguments: list[int]) -> list[int]:
            raise StoreError("gone")

        limit = RateLimit(broken, 3, LONG, fallback=False)
        verdicts = await asyncio.gather(limit.admit("a"), limit.admit("b"), return_exceptions=True)
        assert [isinstance(verdict, RefusedError) and verdict.status for verdict in verdicts] == [503, 503]

    asyncio.run(run())


def test_a_caller_that_goes_away_does_not_disturb_the_others() -> None:
    async def run() -> None:
        answered = asyncio.Event()

        async def slow(_keys: list[str], arguments: list[int]) -> list[int]:
            await answered.wait()
            return [number for count in arguments[2:] for number in (count, 0, count, 0)]

        limit = RateLimit(slow, 10, 60.0)
        gone, stays = limit.admit("a"), limit.admit("a")
        await asyncio.sleep(0)
        gone.cancel()
        answered.set()
        assert await stays == 0.0

    asyncio.run(run())
