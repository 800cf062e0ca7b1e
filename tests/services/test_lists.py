"""Totals of lists: counted while the lists are short, remembered for a moment when they are long."""

from __future__ import annotations

import asyncio
from typing import Any

from cloudcart.services.answers import Page
from cloudcart.services.lists import EXACT, Listing, Lists

LISTING = Listing("rows", "count")


class Table:
    """Answers a listing's two statements as PostgreSQL would."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self.counted: list[int] = []

    async def rows(self, _statement: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"id": number} for number in range(self.entries)][wanted["offset"] :][: wanted["limit"]]

    async def row(self, _statement: str, wanted: dict[str, Any]) -> dict[str, Any]:
        self.counted.append(wanted["most"])
        return {"total": min(self.entries, wanted["most"])}


def test_short_lists_are_counted_each_time_and_long_ones_now_and_then() -> None:
    now, table = 0.0, Table(EXACT - 1)
    lists = Lists(clock=lambda: now)

    def total(user: int = 1) -> int:
        session: Any = table
        rows, found = asyncio.run(lists.page(session, LISTING, {"user": user}, Page(2, 2)))
        assert [row["id"] for row in rows] == [2, 3]
        return found

    assert total() == EXACT - 1
    assert table.counted == [EXACT]
    table.entries = 3 * EXACT
    assert total() == 3 * EXACT
    table.entries = 4 * EXACT
    assert total() == 3 * EXACT
    assert total(user=2) == 4 * EXACT
    now = 2.0
    assert total() == 4 * EXACT
    table.entries = 5
    assert total() == 5


def test_a_first_page_that_is_not_full_needs_no_count() -> None:
    table: Any = Table(3)
    rows, total = asyncio.run(Lists().page(table, LISTING, {}, Page(10, 0)))
    assert (len(rows), total, table.counted) == (3, 3, [])
