"""Pages of lists and how long the lists are, at a cost that does not grow with them.

Up to :data:`EXACT` entries the total is counted for each request. Beyond that nobody counts along: the total is what it
was a moment ago. Used by all services with lists; the statements are theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, LiteralString, NamedTuple

from cloudcart.services.answers import Page
from cloudcart.stores.database import Row, Session

EXACT: Final = 10_000
_ALL: Final = 2**31 - 1
_FRESH: Final = 2.0  # seconds
_REMEMBERED: Final = 1000  # lists


class Listing(NamedTuple):
    """The statements of one list.

    Attributes:
        rows: gives a page, by ``%(limit)s`` and ``%(offset)s``.
        total: counts the entries as ``total``, up to ``%(most)s``.
    """

    rows: LiteralString
    total: LiteralString


class Lists:
    """The lists of one service.

    Args:
        clock: seconds that only ever grow.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[tuple[object, ...], tuple[int, float]] = {}

    async def page(
        self, session: Session, listing: Listing, wanted: Mapping[str, object], page: Page
    ) -> tuple[list[Row], int]:
        """Return one page of a list, and how many entries it has in all.

        Args:
            session: of the database that has it.
            listing: which list.
            wanted: the other parameters of its statements.
            page: which page.
        """
        rows = await session.rows(listing.rows, {**wanted, **page._asdict()})
        if page.offset == 0 and len(rows) < page.limit:
            return rows, len(rows)
        return rows, await self._total(session, listing, wanted)

    async def _total(self, session: Session, listing: Listing, wanted: Mapping[str, object]) -> int:
        total = await _count(session, listing, wanted, EXACT)
        if total < EXACT:
            return total
        key = listing.total, *wanted.values()
        total, until = self._known.get(key, (0, 0.0))
        if self._clock() >= until:
            total = await _count(session, listing, wanted, _ALL)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = total, self._clock() + _FRESH
        return total


async def _count(session: Session, listing: Listing, wanted: Mapping[str, object], most: int) -> int:
    row = await session.row(listing.total, {**wanted, "most": most})
    return row["total"] if row else 0
