"""Faults of the process itself, from a wrong clock to a blocked loop: they act, end and leave nothing."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.process import ProcessFaults
from cloudcart.exceptions import LabError
from cloudcart.faults import parse_fault

MIB = 2**20


class Supervisor:
    """Writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def __call__(self, question: Mapping[str, object]) -> None:
        known = ("command", "service", "pause", "seconds")
        self.asked.append(tuple(question[name] for name in known if name in question))


@asynccontextmanager
async def acting(
    active: ActiveFaults, ask: Callable[..., Any] | None = None, **document: Any
) -> AsyncIterator[ProcessFaults]:
    """Let a fault act in this process until the end of the context."""
    process = ProcessFaults(active, ask)
    watching = asyncio.create_task(process.watch())
    active.add(parse_fault({"target": "mine", **document}, services=None), "f")
    await process.settle()
    try:
        yield process
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def mine(service: str = "mine") -> ActiveFaults:
    return ActiveFaults(service, lab=True)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of the test
            await asyncio.sleep(0.005)


def test_the_clock_is_wrong_until_the_fault_is_healed() -> None:
    async def run() -> None:
        active = mine()
        async with acting(active, kind="clock_skew", by="-2h") as process:
            assert active.surroundings.time() == pytest.approx(time.time() - 7200, abs=1)
            assert active.counts() == {"f": (1, 1)}
            active.remove("f")
            await process.settle()
            assert active.surroundings.skew == 0

    asyncio.run(run())


def test_it_ends_by_itself_with_its_time_to_live() -> None:
    async def run() -> None:
        active = mine()
        async with acting(active, kind="failed_readiness", ttl="50ms"):
            assert active.surroundings.unready == 1
            await until(lambda: active.surroundings.unready == 0)

    asyncio.run(run())


def test_it_ends_by_itself_with_the_lease() -> None:
    async def run() -> None:
        active = mine()
        async with acting(active, kind="clock_skew", by="1h") as process:
            active.add(parse_fault({"kind": "failed_readiness", "target": "mine"}, services=None), "g", leased=True)
            active.renew(0.05)
            await process.settle()
            assert active.surroundings.unready == 1
            await until(lambda: active.surroundings.unready == 0)
            assert active.surroundings.skew == 3600, "what nobody leases stays"

    asyncio.run(run())


def test_a_changed_fault_begins_anew() -> None:
    async def run() -> None:
        active = mine()
        async with acting(active, kind="clock_skew", by="1h") as process:
            active.add(parse_fault({"kind": "clock_skew", "target": "mine", "by": "3h"}, services=None), "f")
            await process.settle()
            assert active.surroundings.skew == 3 * 3600

    asyncio.run(run())


def test_nothing_is_left_when_the_service_ends() -> None:
    async def run() -> tuple[float, int]:
        active = mine()
        before = psutil.Process().num_fds()
        async with acting(active, kind="fd_leak", rate=1000, limit=30):
            await until(lambda: psutil.Process().num_fds() >= before + 30)
            await asyncio.sleep(0)
        return active.surroundings.skew, psutil.Process().num_fds() - before

    assert asyncio.run(run()) == (0, 0)


def test_memory_grows_to_its_limit_and_is_given_back() -> None:
    async def run() -> None:
        process = psutil.Process(os.getpid())
        before = process.memory_info().rss
        active = mine()
        async with acting(active, kind="memory_leak", rate="400MiB", limit="80MiB"):
            await until(lambda: process.memory_info().rss > before + 70 * MIB)
            assert process.memory_info().rss < before + 90 * MIB
        assert process.memory_info().rss < before + 20 * MIB

    asyncio.run(run())


def test_cores_are_burnt_beside_the_event_loop() -> None:
    async def run() -> None:
        begun = time.process_time()
        async with acting(mine(), kind="cpu_burn", cores=0.5):
            await until(lambda: time.process_time() - begun > 0.2)
        await until(lambda: all(thread.name != "cpu-burn" for thread in threading.enumerate()))

    asyncio.run(run())


def test_the_loop_is_blocked_no_longer_than_the_fault_may_act() -> None:
    async def run() -> float:
        begun = time.perf_counter()
        async with acting(mine(), kind="loop_block", block="10s", ttl="200ms"):
            await asyncio.sleep(0)
        return time.perf_counter() - begun

    assert 0.19 <= asyncio.run(run()) < 2


def test_the_supervisor_is_asked_to_pause_and_to_let_go() -> None:
    async def run() -> list[tuple[object, ...]]:
        ask = Supervisor()
        async with acting(mine("chaos"), ask, kind="pause", target="products", ttl="9s"):
            pass
        return ask.asked

    first, last = asyncio.run(run())
    assert first[:3] == ("hold", "products", True)
    assert 8 < float(str(first[3])) <= 9
    assert last == ("hold", "products", True, 0.0)


def test_the_supervisor_is_asked_to_kill_and_to_wait() -> None:
    async def run() -> list[tuple[object, ...]]:
        ask = Supervisor()
        async with acting(mine("chaos"), ask, kind="kill", target="products", down="100ms"):
            pass
        return ask.asked

    asked = asyncio.run(run())
    assert asked[:2] == [("hold", "products", False, 0.1), ("kill", "products")]
    assert asked[-1] == ("hold", "products", False, 0.0)


def test_a_fault_that_cannot_act_is_not_counted() -> None:
    async def refuse(_question: Mapping[str, object]) -> None:
        raise LabError("no")

    async def run(ask: Callable[..., Any] | None) -> Any:
        active = mine("chaos")
        async with acting(active, ask, kind="pause", target="products"):
            return active.counts()["f"]

    assert asyncio.run(run(refuse)) == asyncio.run(run(None)) == (0, 0)


def test_a_target_s_own_process_does_not_carry_out_what_the_chaos_service_does() -> None:
    active = ActiveFaults("products", lab=True)
    assert active.add(parse_fault({"kind": "pause", "target": "products"}), "f") is None
