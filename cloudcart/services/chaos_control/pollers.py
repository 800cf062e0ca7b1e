"""Who is connected to the control plane: every process that polls, which version of the set it has in force.

Knows nothing of faults beyond the counts that pass through. Used by ``ledger`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from cloudcart.services.chaos_control.signal import Signal

_MOST: Final = 1000
_Count = Annotated[int, Field(ge=0)]
_Name = Annotated[str, Field(min_length=1, max_length=100)]


class Question(BaseModel):
    """What a process says when it polls. ``version`` is what it has in force: saying so acknowledges it.

    ``boot`` tells it from a predecessor with the same name. ``counts`` are (drawn, injected) by fault id, those that
    have changed; ``carried`` are the documents of those that no control plane injected but requests brought along;
    ``routes`` come once.
    """

    service: _Name
    replica: int = Field(0, ge=0)
    boot: str = Field("", max_length=64)
    epoch: str = Field("", max_length=64)
    version: int = -1
    counts: dict[str, tuple[_Count, _Count]] = Field(default_factory=dict, max_length=10_000)
    carried: dict[str, dict[str, Any]] = Field(default_factory=dict, max_length=10_000)
    routes: list[str] | None = Field(None, max_length=10_000)


@dataclass(slots=True)
class Poller:
    """One process that polls. ``began`` and ``heard`` are when it first and last did, by the control plane's clock."""

    service: str
    replica: int
    boot: str
    version: int = -1
    began: float = -math.inf
    heard: float = -math.inf
    routes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As ``products/0``."""
        return f"{self.service}/{self.replica}"


class Pollers:
    """The processes heard from lately.

    Args:
        clock: seconds that only ever grow.
        silence: seconds without a poll after which a process counts as gone.
    """

    def __init__(self, clock: Callable[[], float], silence: float) -> None:
        self._clock = clock
        self._silence = silence
        self._all: dict[tuple[str, int, str], Poller] = {}  # one service may have several processes under one name
        self._heard = Signal()

    def hear(self, question: Question, *, version: int) -> Poller:
        """Note that a process has polled; ``version`` is what it has in force, -1 if that is from another epoch."""
        process = (question.service, question.replica, question.boot)
        poller = self._all.get(process)
        if poller is None:
            self._forget_the_gone()
            poller = self._all[process] = Poller(*process, began=self._clock())
        poller.version = version
        poller.heard = self._clock()
        if question.routes is not None:
            poller.routes = tuple(question.routes)
        self._heard.send()
        return poller

    def live(self) -> Iterator[Poller]:
        """Yield the processes that are there."""
        now = self._clock()
        return (poller for poller in list(self._all.values()) if now - poller.heard <= self._silence)

    def owing(self, silence: float) -> Iterator[Poller]:
        """Yield the processes that may still have to tell something: also busy ones, silent for so many seconds.

        Not those in whose place another one has begun since: they are dead.
        """
        now = self._clock()
        heard = [poller for poller in self._all.values() if now - poller.heard <= silence]
        last = {poller.name: max(each.began for each in heard if each.name == poller.name) for poller in heard}
        return (poller for poller in heard if poller.heard >= last[poller.name])

    async def until(self, lagging: Callable[[], Iterable[Poller]], bound: float) -> list[str]:
        """Wait until ``lagging`` returns nobody; return the names of those who still lag after ``bound`` seconds."""
        end = self._clock() + bound
        while late := [poller.name for poller in lagging()]:
            left = end - self._clock()
            if left <= 0:
                return late
            await self._heard.wait(left)
        return []

    def _forget_the_gone(self) -> None:
        if len(self._all) >= _MOST:
            self._all = {(poller.service, poller.replica, poller.boot): poller for poller in self.live()}
