"""A gateway before two processes of the product service, one of which is not as it should be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

OFF = {"gateway.cache": "off", "gateway.rate_limit": "off"}
LATE = 0.2  # seconds


def run(work: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(bounded())


async def late(_asked: Any) -> Any:
    await asyncio.sleep(LATE)
    return 200, {}, b"{}"


async def failing(_asked: Any) -> Any:
    return 500, {}, b"{}"


async def cut(_asked: Any) -> None:
    return None


def asked(it: Any) -> tuple[int, int]:
    return len(it.services["products"].asked), len(it.services["products/1"].asked)


async def visit(it: Any, times: int) -> list[int]:
    return [(await it.get("/api/products/1")).status_code for _ in range(times)]


def test_replicas_take_turns(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge(OFF, replicas=2) as it:
            await visit(it, 20)
            assert asked(it) == (10, 10)

    run(work())


@pytest.mark.parametrize(("wrong", "reason"), [(late, "latency"), (failing, "errors"), (cut, "errors")])
def test_one_that_stands_out_is_left_alone(edge: Callable[..., Any], wrong: Any, reason: str) -> None:
    async def work() -> None:
        async with edge({**OFF, "gateway.ejection": "60s"}, replicas=2) as it:
            it.services["products/1"].answer = wrong
            await visit(it, 20)
            before = asked(it)
            assert await visit(it, 20) == [200] * 20
            assert asked(it) == (before[0] + 20, before[1])
            where = {"upstream": "products", "replica": "1"}
            assert it.metric("upstream_ejections_total", **where, reason=reason) == 1
            assert it.metric("upstream_replica_ejected", **where) == 1

    run(work())


def test_without_the_switch_it_gets_its_share(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge({**OFF, "gateway.outlier_ejection": "off"}, replicas=2) as it:
            it.services["products/1"].answer = late
            await visit(it, 20)
            assert asked(it) == (10, 10)

    run(work())


def test_it_comes_back_after_a_while(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge({**OFF, "gateway.ejection": "50ms"}, replicas=2) as it:
            good, it.services["products/1"].answer = it.services["products/1"].answer, failing
            await visit(it, 20)
            it.services["products/1"].answer = good
            while it.metric("upstream_replica_ejected", upstream="products", replica="1"):
                await visit(it, 1)
            before = asked(it)
            await visit(it, 10)
            assert asked(it) == (before[0] + 5, before[1] + 5)

    run(work())


def test_a_reset_lets_it_back_at_once(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge(OFF, replicas=2) as it:
            it.services["products/1"].answer = failing
            await visit(it, 20)
            response = await it.client.post("/internal/reset", headers=it.service_token())
            assert response.status_code == 204
            assert it.metric("upstream_replica_ejected", upstream="products", replica="1") == 0

    run(work())


def test_a_fault_on_calls_is_no_replicas_fault(edge: Callable[..., Any]) -> None:
    """What makes the way to the service slow says nothing about where it leads."""

    async def work() -> None:
        async with edge(OFF, replicas=2) as it:
            inject = {"x-cloudcart-inject": f"latency;fixed={LATE}s;target=gateway->products"}
            for _ in range(12):
                assert (await it.get("/api/products/1", **inject)).status_code == 200
            assert asked(it) == (6, 6)
            assert it.metric("upstream_ejections_total", upstream="products", replica="1", reason="latency") == 0

    run(work())


def test_a_caller_who_goes_away_blames_nobody(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        reached = asyncio.Event()

        async def silent(_asked: Any) -> None:
            reached.set()
            await asyncio.Event().wait()

        async with edge(OFF, replicas=2) as it:
            it.services["products"].answer = it.services["products/1"].answer = silent
            for _ in range(12):
                reached.clear()
                task = asyncio.create_task(it.get("/api/products/1"))
                await reached.wait()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert asked(it) == (6, 6)
            assert it.metric("upstream_ejections_total", upstream="products", replica="1", reason="errors") == 0

    run(work())
