"""Totals of lists: counted while they are short, remembered for a moment when they are long."""

from __future__ import annotations

import asyncio

from cloudcart.services.totals import EXACT, Totals


def test_short_lists_are_counted_each_time_and_long_ones_now_and_then() -> None:
    now, entries, counted = 0.0, EXACT - 1, []
    totals = Totals(clock=lambda: now)

    async def count(most: int) -> int:
        counted.append(most)
        return min(most, entries)

    def total(key: str = "all") -> int:
        return asyncio.run(totals.of(key, count))

    assert total() == EXACT - 1
    assert counted == [EXACT]
    entries = 3 * EXACT
    assert total() == 3 * EXACT
    entries = 4 * EXACT
    assert total() == 3 * EXACT
    assert total("others") == 4 * EXACT
    now = 2.0
    assert total() == 4 * EXACT
    entries = 5
    assert total() == 5
