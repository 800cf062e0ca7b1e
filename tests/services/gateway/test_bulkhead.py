"""A place for each of so many requests; a burst waits, and neither for ever nor without limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cloudcart.exceptions import UpstreamUnavailableError
from cloudcart.services.gateway.bulkhead import Bulkhead


@asynccontextmanager
async def place(bulkhead: Bulkhead) -> AsyncIterator[None]:
    if (turn := bulkhead.enter()) is not None:
        await turn
    try:
        yield
    finally:
        bulkhead.leave()


def test_a_burst_waits_for_its_turn() -> None:
    async def work() -> None:
        bulkhead, inside, most = Bulkhead(3, 10.0), 0, 0

        async def request() -> None:
            nonlocal inside, most
            async with place(bulkhead):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(request() for _ in range(20)))
        assert most == 3

    asyncio.run(work())


def test_nobody_waits_for_ever_and_no_place_is_lost() -> None:
    async def work() -> None:
        bulkhead = Bulkhead(1, 0.02)
        async with place(bulkhead):
            with pytest.raises(UpstreamUnavailableError):
                async with place(bulkhead):
                    pass
        async with place(bulkhead):
            pass

    asyncio.run(work())


def test_so_many_wait_and_one_more_is_refused_at_once() -> None:
    async def work() -> None:
        bulkhead = Bulkhead(1, 10.0)

        async def request() -> None:
            async with place(bulkhead):
                pass

        async with place(bulkhead):
            waiting = [asyncio.create_task(request()) for _ in range(8)]
            await asyncio.sleep(0)
            with pytest.raises(UpstreamUnavailableError):
                await request()
        await asyncio.gather(*waiting)

    asyncio.run(work())


def test_who_leaves_the_queue_takes_no_place_along() -> None:
    async def work() -> None:
        bulkhead = Bulkhead(1, 10.0)

        async def request() -> None:
            async with place(bulkhead):
                pass

        async with place(bulkhead):
            waiting = [asyncio.create_task(request()) for _ in range(4)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        waiting[1].cancel()  # the place is being handed over at this moment
        await asyncio.gather(*waiting, return_exceptions=True)
        assert bulkhead.enter() is None

    asyncio.run(work())
