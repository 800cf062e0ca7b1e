"""Lets visitors in when they are due, and not too many at once: a shop that is stuck must not gather a crowd."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Final

from cloudcart.services.traffic.arrivals import Arrival
from cloudcart.services.traffic.client import TrafficMetrics
from cloudcart.services.traffic.visits import Visits

_MOST: Final = 50  # visitors at a time
_LATE: Final = 1.0  # seconds after which those who were due are not made up for, as after a pause of this process
_LOG: Final = logging.getLogger(__name__)


class Crowd:
    """The visitors who are there.

    Args:
        visits: what they do.
        coming: when they come.
        metrics: where they are counted.
    """

    def __init__(self, visits: Visits, coming: Iterator[Arrival], metrics: TrafficMetrics) -> None:
        self._visits = visits
        self._coming = coming
        self._metrics = metrics
        self._inside = 0

    async def run(self) -> None:
        """Let visitors in until cancelled."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with asyncio.TaskGroup() as inside:
            for arrival in self._coming:
                early = began + arrival.due - clock()
                if early < -_LATE:
                    began -= early
                await asyncio.sleep(max(0.0, early))
                self._metrics.burst.set(arrival.in_burst)
                if self._inside < _MOST:
                    self._count(+1)
                    self._metrics.visits.labels(arrival.kind).inc()
                    inside.create_task(self._stay(arrival))
                else:
                    self._metrics.turned_away.inc()

    async def _stay(self, arrival: Arrival) -> None:
        try:
            await self._visits.visit(arrival.kind)
        except Exception:  # an answer that nobody expected must not end all traffic
            _LOG.exception("a visitor was surprised")
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._inside += change
        self._metrics.present.set(self._inside)
