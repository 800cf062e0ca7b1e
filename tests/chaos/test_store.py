"""Faults on statements and commands, and faults that act from their start to their end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.standing import StandingFaults
from cloudcart.chaos.store import through_store
from cloudcart.faults import parse_fault


def faults(service: str = "products", **document: Any) -> ActiveFaults:
    active = ActiveFaults(service, lab=True)
    active.add(parse_fault({"target": service, **document}), "f")
    return active


def send_one(active: ActiveFaults, store: Any = "postgres", limit: float | None = None) -> float:
    """Send one statement and return how long it took."""

    async def send() -> str:
        return "rows"

    begun = time.perf_counter()
    assert asyncio.run(through_store(active, store, send, limit=limit)) == "rows"
    return time.perf_counter() - begun


@pytest.mark.parametrize(("kind", "store"), [("db_slow_query", "postgres"), ("redis_slow", "redis")])
def test_a_slow_store_delays_its_own_statements_only(kind: str, store: str) -> None:
    active = faults(kind=kind, delay="30ms")
    other = "redis" if store == "postgres" else "postgres"
    send_one(active, other)
    assert active.counts()["f"] == (0, 0)
    assert send_one(active, store) >= 0.03
    assert active.counts()["f"] == (1, 1)


def test_a_statement_is_not_held_for_longer_than_the_store_allows() -> None:
    with pytest.raises(TimeoutError):
        send_one(faults(kind="db_slow_query", delay="10s"), limit=0.02)


class Place:
    """A pool and an administrator that note what is done to them; the first call fails if asked to."""

    def __init__(self, failures: int = 0) -> None:
        self.held = 0.0
        self.calls = 0
        self._failures = failures

    @asynccontextmanager
    async def drained(self, share: float) -> AsyncIterator[None]:
        self.calls += 1
        if self.calls <= self._failures:
            raise OSError("not there")
        self.held = share
        try:
            yield
        finally:
            self.held = 0.0

    async def end_connections(self, service: str) -> None:
        assert service == "products"
        self.calls += 1


def test_a_standing_fault_holds_until_it_is_healed() -> None:
    async def test(active: ActiveFaults, place: Place) -> None:
        active.add(parse_fault({"kind": "db_pool_drain", "target": "products", "share": 0.5}), "f")
        await until(lambda: place.held == 0.5)
        assert active.counts()["f"] == (1, 1)
        active.remove("f")
        await until(lambda: place.held == 0)

    carry_out(test)


def test_it_ends_by_its_time_to_live_with_nobody_looking() -> None:
    async def test(active: ActiveFaults, place: Place) -> None:
        active.add(parse_fault({"kind": "db_pool_drain", "target": "products", "ttl": "50ms"}), "f")
        await until(lambda: place.held == 1)
        await until(lambda: place.held == 0)
        assert active.counts()["f"] == (1, 1)

    carry_out(test)


def test_it_outlives_a_lease_that_is_renewed_and_ends_with_one_that_is_not() -> None:
    async def test(active: ActiveFaults, place: Place) -> None:
        fault = parse_fault({"kind": "db_pool_drain", "target": "products"})
        active.replace([("f", fault, 60.0, 0)], lease=0.15)
        await until(lambda: place.held == 1)
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            active.renew(0.15)
            await asyncio.sleep(0.01)
        assert place.held == 1
        await until(lambda: place.held == 0)

    carry_out(test)


def test_what_could_not_act_tries_again_and_counts_once() -> None:
    async def test(active: ActiveFaults, place: Place) -> None:
        active.add(parse_fault({"kind": "db_pool_drain", "target": "products"}), "f")
        await until(lambda: place.held == 1)
        assert (place.calls, active.counts()["f"]) == (2, (1, 1))

    carry_out(test, failures=1)


def test_a_repeated_fault_draws_for_each_round() -> None:
    async def test(active: ActiveFaults, place: Place) -> None:
        document = {"kind": "db_kill_connections", "target": "products", "every": "1ms"}
        active.add(parse_fault({**document, "first": 3}), "f")
        await until(lambda: active.counts()["f"] == (3, 3))
        active.add(parse_fault({**document, "probability": 0.5}), "g")
        await until(lambda: active.counts()["g"][0] >= 100)
        drawn, injected = active.counts()["g"]
        assert (30 < injected < 0.7 * drawn, place.calls) == (True, 3 + injected)

    carry_out(test, service="chaos")


def test_a_fault_that_is_changed_lets_go_and_acts_anew() -> None:
    async def test(active: ActiveFaults, place: Place) -> None:
        for share in (0.25, 0.75):
            active.add(parse_fault({"kind": "db_pool_drain", "target": "products", "share": share}), "f")
            await until(lambda share=share: place.held == share)
        assert place.calls == 2

    carry_out(test)


def test_a_fault_that_comes_back_acts_again() -> None:
    async def test(active: ActiveFaults, place: Place) -> None:
        fault = parse_fault({"kind": "db_pool_drain", "target": "products"})
        active.add(fault, "f")
        await until(lambda: place.held == 1)
        active.remove("f")
        await until(lambda: place.held == 0)
        active.add(fault, "f")
        await until(lambda: place.calls == 2 and place.held == 1)

    carry_out(test)


def carry_out(test: Any, *, service: str = "products", failures: int = 0) -> None:
    """Run a test beside the standing faults of a process; nothing is held afterwards."""
    place = Place(failures)

    async def run() -> None:
        active = ActiveFaults(service, lab=True)
        running = asyncio.create_task(StandingFaults(active, {"postgres": place}).run())
        await asyncio.sleep(0)
        await test(active, place)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
    assert place.held == 0


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- what is waited for has no event
            await asyncio.sleep(0.005)
