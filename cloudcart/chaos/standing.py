"""Carries out standing faults: those that act from their start to their end, not on single requests.

One per process that has something they may act on, run by its owner as a task. Time to live and lease end a fault here,
on this process's monotonic clock; what it holds is let go by cancelling it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.record import ActiveFault
from cloudcart.faults import Fault

_AGAIN: Final = 0.2  # seconds until a fault that could not act tries again
_log = logging.getLogger(__name__)


class StandingFaults:
    """The standing faults of one process.

    Args:
        active: what is active in this process; this object takes its ``on_change``.
        places: what faults act on here, by the name of the store.
    """

    def __init__(self, active: ActiveFaults, places: Mapping[str, object]) -> None:
        self._active = active
        self._places = places
        self._changed = asyncio.Event()
        self._running: dict[str, tuple[Fault, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Carry out what is active, until cancelled; then nothing is held any more."""
        self._active.on_change = self._changed.set
        try:
            while True:
                self._changed.clear()
                for record in self._active.records():
                    if record.fault.standing:
                        self._begin_or_renew(record)
                await self._changed.wait()
        finally:
            self._active.on_change = None
            tasks = [task for _, task in self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin_or_renew(self, record: ActiveFault) -> None:
        running = self._running.get(record.id)
        if running is None:
            task = asyncio.create_task(self._carry_out(record))
            self._running[record.id] = (record.fault, task)
            task.add_done_callback(lambda _: self._ended(record))
        elif running[0] != record.fault:  # it was changed: what it holds is let go, and it begins anew
            running[1].cancel()

    def _ended(self, record: ActiveFault) -> None:
        del self._running[record.id]
        self._changed.set()  # the same fault may have come again meanwhile

    async def _carry_out(self, record: ActiveFault) -> None:
        """Act until the fault is over."""
        acting = asyncio.create_task(self._act(record))
        try:
            while (left := self._active.seconds_left(record)) > 0:
                over = asyncio.Event()
                record.waiting.add(over.set)  # a heal sets it
                with suppress(TimeoutError):  # a lease may have been renewed meanwhile
                    await asyncio.wait_for(over.wait(), left)
                record.waiting.discard(over.set)
        finally:
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)
            self._active.records()  # notices an end by time, and keeps the counts

    async def _act(self, record: ActiveFault) -> None:
        """Act once, or once a period; each act is drawn for and counted by itself."""
        while True:
            if self._active.decide(record, record.fault.store, "") is not None:
                await self._until_done(record)
            if record.fault.period is None:
                return
            await asyncio.sleep(record.fault.period)

    async def _until_done(self, record: ActiveFault) -> None:
        warned = False
        while True:
            try:
                return await record.fault.act(self._places[record.fault.store])
            except Exception as error:  # the store may be away: it is the patient
                if not warned:
                    _log.warning("%s cannot act now and tries again: %r", record.id, error)
                warned = True
            await asyncio.sleep(_AGAIN)
