"""The place where faults act on the process of a service: its clock, memory, processors, event loop, readiness, life.

One :class:`ProcessFaults` per process, turned by the agent whenever the set has changed; time to live and lease end an
effect by themselves. Not here: stopping and killing, which only the supervisor can; it is asked through a callable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.record import ActiveFault
from cloudcart.exceptions import LabError
from cloudcart.faults import Fault

AskSupervisor = Callable[[Mapping[str, object]], Awaitable[None]]
"""Sends a command to the supervisor's control socket; raises LabError if it cannot be carried out."""

_log = logging.getLogger(__name__)


class _Running(NamedTuple):
    fault: Fault
    record: ActiveFault
    task: asyncio.Task[None]


class ProcessFaults:
    """Begins and ends the effects of active faults in this process.

    Args:
        active: the set to follow.
        ask: reaches the supervisor; only the chaos service, which carries out what needs it, has one.
    """

    def __init__(self, active: ActiveFaults, ask: AskSupervisor | None = None) -> None:
        self._active = active
        self._ask = ask
        self._running: dict[str, _Running] = {}
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()

    async def settle(self) -> None:
        """Begin what is new and end what is over; on return both have happened."""
        async with self._turn:
            wanted = {record.id: record for record in self._active.records() if record.fault.place == "process"}
            await self._end([i for i, one in self._running.items() if i not in wanted or wanted[i].fault != one.fault])
            await asyncio.gather(*(self._begin(wanted[i]) for i in wanted if i not in self._running))
            self._news.set()

    async def watch(self) -> None:
        """End what nobody heals when its time is up, until cancelled; then end everything."""
        try:
            while True:
                self._news.clear()
                left = [self._active.seconds_left(one.record) for one in self._running.values()]
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, default=None)):
                        await self._news.wait()
                await self.settle()
        finally:
            await self._end(list(self._running))

    async def _begin(self, record: ActiveFault) -> None:
        begun = asyncio.get_running_loop().create_future()
        inside = _Inside(self._active, record, begun, self._ask)
        task = asyncio.create_task(_act(record.fault, inside))
        self._running[record.id] = _Running(record.fault, record, task)
        await asyncio.wait((begun, task), return_when=asyncio.FIRST_COMPLETED)

    async def _end(self, ids: list[str]) -> None:
        tasks = [self._running.pop(i).task for i in ids]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _act(fault: Fault, inside: _Inside) -> None:
    try:
        await fault.act_in(inside)
    except Exception as error:  # the service goes on without the fault, whose count tells that it did not act
        _log.warning("the fault %s cannot act here: %s", fault.label, error)


class _Inside:
    """What one fault sees of the process; fulfils :class:`cloudcart.faults.Process`."""

    __slots__ = ("_active", "_ask", "_begun", "_record")

    def __init__(
        self, active: ActiveFaults, record: ActiveFault, begun: asyncio.Future[None], ask: AskSupervisor | None
    ) -> None:
        self._active = active
        self._record = record
        self._begun = begun
        self._ask = ask

    def hit(self) -> None:
        self._record.hit()
        if not self._begun.done():
            self._begun.set_result(None)

    async def stay(self) -> None:
        await asyncio.get_running_loop().create_future()

    def seconds_left(self) -> float:
        return self._active.seconds_left(self._record)

    def skew_clock(self, seconds: float) -> None:
        self._active.surroundings.skew += seconds

    def refuse_readiness(self, refuse: bool) -> None:
        self._active.surroundings.unready += 1 if refuse else -1

    async def hold(self, service: str, *, pause: bool, seconds: float) -> None:
        await self._supervisor(
            {"command": "hold", "service": service, "holder": self._record.id, "pause": pause, "seconds": seconds}
        )

    async def kill(self, service: str) -> None:
        await self._supervisor({"command": "kill", "service": service})

    async def deploy(self, service: str, settings: Mapping[str, object], *, release: str, seconds: float) -> None:
        question = {"command": "deploy", "service": service, "holder": self._record.id, "settings": dict(settings)}
        await self._supervisor({**question, "release": release, "seconds": seconds})

    async def _supervisor(self, question: Mapping[str, object]) -> None:
        if self._ask is None:
            raise LabError("no supervisor can be asked here; a lab of one's own has one: embedded, or in containers")
        await self._ask(question)
