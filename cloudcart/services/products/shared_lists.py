"""Pages of product lists that all processes of the product service share: kept in Redis until a product changes.

Every page is kept with the generation of the catalogue under which it was read, and is good as long as that one lasts.
So a page that was read before a change and kept after it is never taken for new. Stock that orders move ends a
generation by its event ``product.stock_changed``, an administrator's change by itself. Used by the catalogue, which
asks PostgreSQL while Redis is away. Not here: what the gateway remembers for itself (``services.gateway.cache``).
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from prometheus_client import Counter

from cloudcart.events import ProductStockChanged
from cloudcart.exceptions import StoreError
from cloudcart.stores.consumer import ConsumerMetrics, Record
from cloudcart.stores.redis import Redis
from cloudcart.telemetry.context import carries_fault
from cloudcart.telemetry.metrics import Telemetry

TOPICS: Final = (ProductStockChanged.topic,)

_GENERATION: Final = "catalogue:generation"


class ListPage(NamedTuple):
    """One page of a list.

    Attributes:
        body: its products as JSON.
        total: how many products the whole list has.
    """

    body: bytes
    total: int


class SharedLists:
    """The pages that are known.

    Args:
        redis: where they are.
        ttl: seconds for which a page is kept at most, should a change ever go unheard.
        telemetry: where it is counted how often a page was known.
        consumed: counts the events.
    """

    def __init__(self, redis: Redis, ttl: float, telemetry: Telemetry, consumed: ConsumerMetrics) -> None:
        self._redis = redis
        self._milliseconds = max(1, int(ttl * 1000))
        self._consumed = consumed
        registry = telemetry.registry
        self._hits = Counter("cache_hits_total", "Pages of product lists that Redis had.", registry=registry)
        self._misses = Counter("cache_misses_total", "Pages of product lists that it had not.", registry=registry)

    async def page(self, name: str, read: Callable[[], Awaitable[ListPage]]) -> ListPage:
        """Return the page with this name, from Redis or else as ``read`` gives it.

        A request that brings a fault reads always: a page that is known would hide what the fault does to reading.
        """
        if carries_fault():
            return await read()
        key = f"catalogue:list:{name}"
        try:
            generation, kept = await self._redis.command("MGET", _GENERATION, key)
            if generation is None:  # Redis is new, or was emptied
                generation = await self._begin_generation()
        except StoreError:
            return await read()
        page = _page_of(kept, generation)
        if page is not None:
            self._hits.inc()
            return page
        self._misses.inc()
        page = await read()
        value = b"%s\n%d\n%s" % (generation.encode(), page.total, page.body)
        with suppress(StoreError):  # the next one who wants it reads again
            await self._redis.command("SET", key, value, "PX", self._milliseconds)
        return page

    async def expire(self) -> None:
        """Products have changed: nothing that is kept is good any more.

        Raises:
            StoreError: Redis is away, and may still have the pages when it comes back.
        """
        await self._begin_generation()

    async def handle(self, records: Sequence[Record]) -> None:
        """Handle messages of the topic ``product.stock_changed``; raises as :meth:`expire`, to be called again."""
        await self.expire()
        self._consumed.events.labels(ProductStockChanged.topic, "handled").inc(len(records))

    async def _begin_generation(self) -> str:
        """Return the name of the one that begins now. No two have the same, as they might if they were counted."""
        generation = secrets.token_hex(8)
        await self._redis.command("SET", _GENERATION, generation)
        return generation


def _page_of(kept: str | None, generation: str) -> ListPage | None:
    """Return the page that Redis has, if it has one of this generation."""
    if kept is None:
        return None
    of, total, body = kept.split("\n", 2)
    return ListPage(body.encode(), int(total)) if of == generation else None
