"""The faults that are active in this process, and the decision whether one of them hits a piece of work.

Time to live and lease are enforced here, against the monotonic clock, whoever forgot to heal. Not here: what a fault
does (``faults``), where (``middleware``, ``outbound``, ``messaging``), or how the set arrives (``agent``).
"""

from __future__ import annotations

import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from cloudcart.chaos.draw import Draws, number
from cloudcart.chaos.inline import InlineFaults
from cloudcart.chaos.matching import RouteIndex, Work
from cloudcart.chaos.record import ActiveFault, Effects, Surroundings
from cloudcart.faults import Fault
from cloudcart.faults.control_arm import in_control_arm

_KEPT: Final = 200  # ended faults whose counts are remembered, so that a late report or scrape still finds them


class ActiveFaults:
    """What is active in one process of ``service``.

    Attributes:
        any: whether a fault is active here, or anywhere in the lab. The one thing that a request without faults checks.
        chooses_users: whether one of those chooses by user, so that services have to tell each other whose a call is.
        effects: sums over all faults that ever acted here.
        surroundings: what faults have done to the process itself.
        boot: tells this process from its predecessor with the same name, whose counts started anew.
        on_change: called whenever the set has changed; set by whoever carries out standing faults.

    Args:
        service: the name that targets use.
        replica: which of the service's replicas this is, from 0.
        lab: whether faults may act at all; without a lab nothing is ever active.
        seed: for faults that name none.
        clock: seconds that only ever grow.
    """

    __slots__ = (
        "_clock", "_elsewhere", "_ended", "_horizon", "_index", "_inline", "_lease_until", "_records",
        "_users_elsewhere", "any", "boot", "chooses_users", "effects", "lab", "on_change", "replica", "seed", "service",
        "surroundings",
    )  # fmt: skip

    def __init__(
        self,
        service: str,
        replica: int = 0,
        *,
        lab: bool,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.any = False
        self.chooses_users = False
        self.service = service
        self.replica = replica
        self.lab = lab
        self.seed = seed
        self.boot = secrets.token_hex(8)
        self.effects = Effects()
        self.on_change: Callable[[], None] | None = None
        self.surroundings = Surroundings()
        self._inline = InlineFaults(service, seed)
        self._clock = clock
        self._records: dict[str, ActiveFault] = {}
        self._ended: OrderedDict[str, ActiveFault] = OrderedDict()
        self._elsewhere = -math.inf  # until when some fault is active in another process
        self._users_elsewhere = False  # whether one of those chooses by user
        self._lease_until = math.inf
        self._horizon = math.inf
        self._index: RouteIndex[ActiveFault] = RouteIndex(())

    def add(
        self, fault: Fault, fault_id: str, *, ttl_left: float | None = None, ordinal: int = 0, leased: bool = False
    ) -> ActiveFault | None:
        """Make a fault active; adding an id again moves its deadline and keeps its counts.

        Returns None, and does nothing, for a fault that this process is no target of, or outside a lab.
        """
        if not self.lab or not fault.acts_in(self.service, self.replica):
            return None
        now = self._clock()
        deadline = now + min(fault.ttl if ttl_left is None else ttl_left, fault.ttl)
        record = self._records.get(fault_id) or self._ended.pop(fault_id, None)
        draws = Draws(self.seed if fault.seed is None else fault.seed, fault.identity, ordinal)
        if record is None:
            record = ActiveFault(fault_id, fault, draws, deadline - fault.ttl, deadline, leased)
        elif record.fault != fault:  # it was changed while active: the accounting goes on
            record.fault, record.draws, record.started = fault, draws, deadline - fault.ttl
        record.deadline, record.leased, record.ended = deadline, leased, False
        self._records[fault_id] = record
        self._changed()
        return record

    def remove(self, fault_id: str) -> None:
        """End one fault; ending it twice is the same as once."""
        record = self._records.pop(fault_id, None)
        if record is not None:
            self._retire(record)
            self._changed()

    def clear(self) -> None:
        """End every fault."""
        for record in self._records.values():
            self._retire(record)
        self._records.clear()
        self._elsewhere = -math.inf
        self._changed()

    def replace(self, faults: Iterable[tuple[str, Fault, float, int]], lease: float) -> None:
        """Take over the control plane's set: ``(id, fault, seconds left, ordinal)``; what it does not name ends.

        Args:
            faults: everything active in the lab, also what concerns other services.
            lease: seconds without a further call after which all of it ends.
        """
        named, elsewhere, users = set(), -math.inf, False
        for fault_id, fault, ttl_left, ordinal in faults:
            named.add(fault_id)
            if self.add(fault, fault_id, ttl_left=ttl_left, ordinal=ordinal, leased=True) is None and self.lab:
                elsewhere = max(elsewhere, self._clock() + ttl_left)
                users = users or fault.user is not None
        for fault_id in [i for i, record in self._records.items() if record.leased and i not in named]:
            self.remove(fault_id)
        self._elsewhere, self._users_elsewhere = elsewhere, users
        self.renew(lease)

    def renew(self, lease: float) -> None:
        """The control plane was heard: its faults may stay for ``lease`` more seconds."""
        self._lease_until = self._clock() + lease
        self._changed()

    def records(self) -> list[ActiveFault]:
        """Return what is active at this moment, in the order in which the faults act."""
        self._expire(self._clock())
        return list(self._records.values())

    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Return drawn and injected of every fault known, active or ended lately or carried by a request, by id."""
        return {record.id: (record.drawn, record.injected) for record in self.history()}

    def carried(self) -> Mapping[str, Fault]:
        """Return the faults that single requests have brought along lately, by id."""
        return {record.id: record.fault for record in self._inline.records()}

    def history(self) -> list[ActiveFault]:
        """Return every record whose counts are still known: ended ones, active ones, those of single requests."""
        self._expire(self._clock())
        return [*self._ended.values(), *self._records.values(), *self._inline.records()]

    def matching(self, work: Work, inject: str = "") -> Sequence[ActiveFault]:
        """Return the faults that could hit this piece of work, in the order in which they act.

        Args:
            work: what is about to be done.
            inject: the header by which a request brings its own faults; those act last.

        Raises:
            FaultError: the header makes no sense.
        """
        if self._clock() >= self._horizon:
            self._expire(self._clock())
        records = self._index.find(work)
        return [*records, *self._inline.of(inject).find(work)] if inject and self.lab else records

    def decide(self, record: ActiveFault, route: str, key: str) -> bytes | None:
        """Return the draw of a fault that hits the work with this key now, and count it; None if it does not hit.

        Args:
            record: a fault that matches the work.
            route: the work's route template: calls to two routes on behalf of one request are two draws.
            key: the request key, or empty; then the work is counted per route.
        """
        now = self._clock()
        if record.ended or now >= record.deadline or (record.leased and now >= self._lease_until):
            return None
        if record.fault.control and key and in_control_arm(key, record.fault.control):
            return None
        key = f"{key} {route}" if key else record.next_key(route)
        if not record.scheduled(now):
            return None
        record.drawn += 1
        digest = record.draws.digest(key)
        if number(digest, 0) >= record.probability(now):
            return None
        if record.fault.max_active is not None and record.in_flight >= record.fault.max_active:
            return None
        record.injected += 1
        self.effects.count(record.fault)
        return digest

    def seconds_left(self, record: ActiveFault) -> float:
        """Return how long a fault may still hold something back."""
        until = min(record.deadline, self._lease_until) if record.leased else record.deadline
        return 0.0 if record.ended else max(0.0, until - self._clock())

    def _retire(self, record: ActiveFault) -> None:
        record.end()
        self._ended[record.id] = record
        while len(self._ended) > _KEPT:
            self._ended.popitem(last=False)

    def _expire(self, now: float) -> None:
        if now < self._horizon:
            return
        lost = now >= self._lease_until
        for record in list(self._records.values()):
            if now >= record.deadline or (lost and record.leased):
                self._retire(self._records.pop(record.id))
        if lost:
            self._elsewhere = -math.inf
        self._changed()

    def _changed(self) -> None:
        """Index anew; the hot path reads what is computed here."""
        now = self._clock()
        self._index = RouteIndex((record, record.fault) for record in self._records.values())
        self.any = bool(self._records) or self._elsewhere > now
        users = any(record.fault.user is not None for record in self._records.values())
        self.chooses_users = users or (self._users_elsewhere and self._elsewhere > now)
        ends = [record.deadline for record in self._records.values()]
        if self._elsewhere > now:
            ends.append(self._elsewhere)
        leased = self._elsewhere > now or any(record.leased for record in self._records.values())
        if leased:
            ends.append(self._lease_until)
        self._horizon = min(ends, default=math.inf)
        if self.on_change is not None:
            self.on_change()
