"""Tells the world about refused clients: ``api.rate_limited`` events, best effort and never in a request's way.

Refusals of one client on one route within a second become one event with a count. What cannot be published is dropped:
these events describe a flood, and keeping them would make it worse.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cloudcart.events import ApiRateLimited
from cloudcart.exceptions import StoreError

if TYPE_CHECKING:
    from cloudcart.chaos.active import ActiveFaults
    from cloudcart.stores.publisher import Publisher
    from cloudcart.telemetry.metrics import Telemetry

_PERIOD: Final = 1.0
_CLIENTS: Final = 200  # told apart in one period


class RefusalEvents:
    """Collects refusals and publishes them once a second.

    Args:
        bootstrap: address of the Kafka-protocol broker; empty: nothing is published.
        window: of the rate limit in seconds, which stands in the events.
        faults: what is active in this process, for what is published.
        telemetry: where events are counted, if given.
    """

    def __init__(
        self, bootstrap: str, window: float, faults: ActiveFaults | None = None, telemetry: Telemetry | None = None
    ) -> None:
        self._bootstrap = bootstrap
        self._faults = faults
        self._telemetry = telemetry
        self._window = window
        self._counts: Counter[tuple[str, str]] = Counter()

    def refused(self, client: str, route: str) -> None:
        """Count a refusal."""
        if (client, route) in self._counts or len(self._counts) < _CLIENTS:
            self._counts[client, route] += 1

    def take(self) -> list[ApiRateLimited]:
        """Return the events of this period and begin the next."""
        counts, self._counts = self._counts, Counter()
        return [
            ApiRateLimited(service="gateway", client=client, route=route, count=count, window=self._window)
            for (client, route), count in counts.items()
        ]

    async def run(self) -> None:
        """Publish until cancelled. The Kafka library is imported when there is something to publish."""
        publisher: Publisher | None = None
        try:
            while True:
                await asyncio.sleep(_PERIOD)
                if (events := self.take()) and self._bootstrap:
                    publisher = publisher or self._publisher()
                    await _publish(publisher, events)
        finally:
            if publisher is not None:
                await publisher.close()

    def _publisher(self) -> Publisher:
        from cloudcart.stores.publisher import Publisher

        return Publisher(self._bootstrap, "gateway", faults=self._faults, telemetry=self._telemetry)


async def _publish(publisher: Publisher, events: list[ApiRateLimited]) -> None:
    from cloudcart.stores.publisher import message_of

    with suppress(StoreError):
        await publisher.publish([message_of(event) for event in events])
