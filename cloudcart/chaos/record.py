"""What is kept about one active fault in one process, and about all that ever acted there.

Plain bookkeeping without a clock of its own; ``chaos.active`` takes the decisions and counts here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cloudcart.chaos.draw import Draws
from cloudcart.faults import Fault
from cloudcart.telemetry.metrics import Durations

_ROUTES_COUNTED: Final = 1024  # routes that one fault counts apart; a foreign application may have no templates


@dataclass(slots=True, eq=False)
class ActiveFault:
    """One fault in force here: ``drawn`` counts decisions taken, ``injected`` those that hit."""

    id: str
    fault: Fault
    draws: Draws
    started: float
    deadline: float
    leased: bool = False
    drawn: int = 0
    injected: int = 0
    in_flight: int = 0
    matched: int = 0
    ended: bool = False
    waiting: set[Callable[[], object]] = field(default_factory=set)
    _seen: dict[str, int] = field(default_factory=dict)
    _round: int = 0

    def next_key(self, route: str) -> str:
        """Return the key of a request that has none: the how-manieth on its route since this fault became active."""
        if route not in self._seen and len(self._seen) >= _ROUTES_COUNTED:
            route = "*"
        count = self._seen[route] = self._seen.get(route, 0) + 1
        return f"{route}#{count}"

    def scheduled(self, now: float) -> bool:
        """Count one matching request and say whether ``skip``, ``every`` and ``first`` let it be drawn for."""
        renewal = self.fault.renews_after
        if renewal is not None and (round_ := int((now - self.started) / renewal)) != self._round:
            self._round, self.matched = round_, 0
        place = self.matched - self.fault.passes
        self.matched += 1
        if place < 0 or place % self.fault.nth:
            return False
        return self.fault.first is None or self.injected < self.fault.first

    def probability(self, now: float) -> float:
        """Return the probability at this moment: it grows linearly over the ramp."""
        ramp = self.fault.ramp
        return self.fault.probability * min(1.0, (now - self.started) / ramp) if ramp else self.fault.probability

    def hit(self) -> None:
        """Count what was decided without a draw."""
        self.drawn += 1
        self.injected += 1

    def end(self) -> None:
        """Make sure that it never acts again, and let go of what it holds back at this moment.

        May be called from another thread than the one that waits.
        """
        self.ended = True
        for let_go in tuple(self.waiting):
            let_go()


@dataclass(slots=True)
class Surroundings:
    """What faults of the place ``process`` change about a process and its service looks at."""

    skew: float = 0.0
    unready: int = 0

    def time(self) -> float:
        """Return unix seconds by the service's own clock, which a fault may have moved."""
        return time.time() + self.skew


@dataclass(slots=True)
class Effects:
    """What was injected in this process since it began, summed over faults; read by the metrics."""

    errors: int = 0
    timeouts: int = 0
    delays: Durations = field(default_factory=Durations)

    def count(self, fault: Fault) -> None:
        """Count a hit by its kind. A time-out is no error here, although its caller sees a 504."""
        if fault.kind == "timeout":
            self.timeouts += 1
        elif fault.contract.signal == "errors":
            self.errors += 1

    def delayed(self, fault: Fault, seconds: float) -> None:
        """Record how long a fault really held an exchange back."""
        if fault.contract.signal == "latency":
            self.delays.observe(seconds)
