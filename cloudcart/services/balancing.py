"""Which replica of a service gets the next request: in turn, but for those that stand out as slow or failing.

Outlier ejection as Envoy describes it (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier):
passive, by comparing replicas with each other, at most a share of them, each time for longer. Envoy ejects for errors
alone; a gray failure answers well and late, so here an answer is also bad when it, or the wait for it so far, is far
beyond what the siblings take. The way back is Linkerd's (https://linkerd.io/2/reference/circuit-breaking/): when the
time is up, one request goes there on trial. Linkerd's balancing by latency (peak EWMA) avoids a slow replica without
ejecting it, is drawn to one that fails fast, and would hide what the switch is there to show.

Pure bookkeeping on a clock, made by :func:`balancers` and used by ``http_client``, which knows what a failure is. Where
a service has one process there is no balancer.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from cloudcart.settings import SERVICES, Settings

Reason = Literal["errors", "latency"]

_REMEMBERED: Final = 10  # answers of a replica by which it is judged
_BAD: Final = 5  # so many bad ones among them make an outlier, if its siblings have less than half its share
_COMPARED: Final = 5  # answers of the siblings without which nobody is judged
_SLOWER: Final = 3.0  # times the median of the siblings: slow ..
_NOTICEABLE: Final = 0.05  # .. unless it took less than so many seconds
_LONGEST: Final = 5  # ejections in a row after which the time grows no more
_FORGIVEN: Final = 10.0  # times the first ejection's length: admitted for so long, its past is forgotten


class _Answer(NamedTuple):
    seconds: float
    failed: bool


@dataclass(slots=True, eq=False)
class Call:
    """One request under way to a replica."""

    replica: Replica
    begun: float


@dataclass(slots=True, eq=False)
class Replica:
    """One process of a service, as its callers have seen it. ``until`` is None while it is admitted."""

    number: int
    base: str
    recent: deque[_Answer] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    under_way: dict[Call, None] = field(default_factory=dict)  # the oldest first
    since: float = 0.0  # when it was last admitted
    until: float | None = None  # when the ejection is over and a trial may begin
    trial: Call | None = None
    in_a_row: int = 0
    ejections: Counter[Reason] = field(default_factory=Counter)


class Balancer:
    """The replicas of one service.

    Args:
        service: its name, for metrics.
        bases: the address of each replica; two at least.
        ejection: whether outliers are left alone; else all get the same.
        seconds: how long the first ejection lasts; each in a row is longer by as much, up to five times.
        clock: seconds that only ever grow.
    """

    def __init__(
        self,
        service: str,
        bases: Sequence[str],
        *,
        ejection: bool = True,
        seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service = service
        self.replicas = tuple(Replica(number, base) for number, base in enumerate(bases))
        self._ejection = ejection
        self._seconds = seconds
        self._clock = clock
        self._turn = 0

    @property
    def ejected(self) -> int:
        """How many replicas are left alone now; half of them at most, so never all."""
        return sum(replica.until is not None for replica in self.replicas)

    def begin(self) -> Call:
        """Return a request's way to the replica whose turn it is; its end must be told by one of the methods below."""
        now = self._clock()
        if self._ejection:
            self._look_for_overdue(now)
        replica = self._next(now)
        call = Call(replica, now)
        replica.under_way[call] = None
        if replica.until is not None:
            replica.trial = call
        return call

    def ended(self, call: Call, *, failed: bool) -> None:
        """The request was answered, or failed by the replica's fault."""
        replica, now = call.replica, self._clock()
        replica.under_way.pop(call, None)
        answer = _Answer(now - call.begun, failed)
        if replica.trial is call:
            replica.trial = None
            self._conclude(replica, answer, now)
        elif self._ejection and replica.until is None and call.begun >= replica.since:
            replica.recent.append(answer)
            if failed or answer.seconds > _NOTICEABLE:
                self._judge(replica, now)

    def abandoned(self, call: Call) -> None:
        """The request was given up by its caller, which says nothing about the replica."""
        call.replica.under_way.pop(call, None)
        if call.replica.trial is call:
            call.replica.trial = None

    def forget(self) -> None:
        """Forget what requests have shown so far and admit every replica."""
        for replica in self.replicas:
            replica.recent.clear()
            replica.since, replica.until, replica.trial, replica.in_a_row = self._clock(), None, None, 0

    def _next(self, now: float) -> Replica:
        """Return the next replica that is admitted or may be tried."""
        while True:
            replica = self.replicas[self._turn]
            self._turn = (self._turn + 1) % len(self.replicas)
            if replica.until is None or (replica.until <= now and replica.trial is None):
                return replica

    def _look_for_overdue(self, now: float) -> None:
        """Judge those that keep a request waiting: a replica that stands still would never end one."""
        for replica in self.replicas:
            oldest = next(iter(replica.under_way), None)
            if oldest is not None and now - oldest.begun > _NOTICEABLE and replica.until is None:
                self._judge(replica, now)

    def _judge(self, replica: Replica, now: float) -> None:
        """Eject a replica that stands out among its admitted siblings, if no more than half would be away then."""
        siblings = [other for other in self.replicas if other is not replica and other.until is None]
        if sum(len(other.recent) for other in siblings) < _COMPARED or 2 * (self.ejected + 1) > len(self.replicas):
            return
        bound = _bound(siblings)
        bad = _bad_answers(replica, bound, now)
        if len(bad) < _BAD or 2 * _share(siblings, bound, now) >= _share([replica], bound, now):
            return
        failures = sum(answer.failed for answer in bad)
        self._eject(replica, "errors" if 2 * failures >= len(bad) else "latency", now)

    def _conclude(self, replica: Replica, answer: _Answer, now: float) -> None:
        """Admit a replica whose trial went well; eject it anew when it did not."""
        siblings = [other for other in self.replicas if other.until is None]
        if answer.failed:
            self._eject(replica, "errors", now)
        elif answer.seconds > _bound(siblings):
            self._eject(replica, "latency", now)
        else:
            replica.since, replica.until = now, None

    def _eject(self, replica: Replica, reason: Reason, now: float) -> None:
        if replica.until is None and now - replica.since > _FORGIVEN * self._seconds:
            replica.in_a_row = 0
        replica.in_a_row = min(replica.in_a_row + 1, _LONGEST)
        replica.until = now + self._seconds * replica.in_a_row
        replica.ejections[reason] += 1
        replica.recent.clear()


def _bound(siblings: Iterable[Replica]) -> float:
    """Return the seconds beyond which an answer is slow, next to what these replicas take."""
    times = [answer.seconds for replica in siblings for answer in replica.recent]
    return max(_NOTICEABLE, _SLOWER * statistics.median(times)) if times else float("inf")


def _seen(replica: Replica, bound: float, now: float) -> list[_Answer]:
    """Return a replica's newest answers since it was admitted, and the requests that it has kept waiting too long."""
    calls = (call for call in replica.under_way if call.begun >= replica.since)
    waiting = [_Answer(now - call.begun, False) for call in calls if now - call.begun > bound]
    return [*replica.recent, *waiting][-_REMEMBERED:]


def _bad_answers(replica: Replica, bound: float, now: float) -> list[_Answer]:
    return [answer for answer in _seen(replica, bound, now) if answer.failed or answer.seconds > bound]


def _share(replicas: Iterable[Replica], bound: float, now: float) -> float:
    """Return which share of the answers of these replicas is bad."""
    replicas = list(replicas)
    seen = sum(len(_seen(replica, bound, now)) for replica in replicas)
    return sum(len(_bad_answers(replica, bound, now)) for replica in replicas) / seen if seen else 0.0


def balancers(settings: Settings) -> Mapping[str, Balancer]:
    """Return a balancer for each service with several replicas, by the address that stands for the service."""
    switches = settings.gateway
    return {
        bases[0]: Balancer(service, bases, ejection=switches.outlier_ejection, seconds=switches.ejection)
        for service in SERVICES
        if len(bases := settings.urls.of(service)) > 1
    }
