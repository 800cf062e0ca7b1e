"""Every fault that was ever injected: which are active, who has taken them over, how often they hit, how they ended.

In memory only, so that it works while everything else fails; a new epoch tells services that it started anew. Not
here: HTTP (``api``, ``legacy``), who may ask (``access``), the way to Kafka (``publisher``).
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cloudcart.events import ChaosCleared, ChaosInjected, Event
from cloudcart.exceptions import FaultError, RefusedError
from cloudcart.faults import LINKS, Fault, parse_fault
from cloudcart.services.chaos_control.entry import Injected, State
from cloudcart.services.chaos_control.pollers import Poller, Pollers, Question
from cloudcart.services.chaos_control.signal import Signal
from cloudcart.services.chaos_control.targets import check_target
from cloudcart.settings import SERVICES, Chaos

TAKE_OVER: Final = 0.5  # seconds that an injection waits for its targets at most
FINAL_COUNTS: Final = 1.0  # seconds that a heal waits for the last counts at most
_FRESH_COUNTS: Final = 0.1  # seconds that a look at one fault waits for counts at most
_REPORT_EVERY: Final = 1.0  # seconds of hits that one event sums up
_SPARE: Final = 1.0  # seconds beyond one long poll after which a process counts as gone
MOST_ACTIVE: Final = 500
_REMEMBERED: Final = 1000
_COUNTED: Final = 200  # faults whose hits are told as a metric

Checked = tuple[Fault, str | None]
"""A fault that may be injected, and what the person who injects it should know."""


class Ledger:
    """The control plane's memory.

    Args:
        chaos: lease, length of a poll, seed of faults that name none.
        publish: takes events; must neither block nor raise.
        admit: raises what an injection is to be refused with.
        clock: seconds that only ever grow; times to live are measured by it.
    """

    def __init__(
        self,
        chaos: Chaos,
        publish: Callable[[Event], None],
        *,
        admit: Callable[[Fault], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epoch = secrets.token_hex(8)
        self.version = 0
        self._chaos = chaos
        self._publish = publish
        self._admit = admit
        self._clock = clock
        self._all: dict[str, Injected] = {}
        self._news = Signal()
        self._pollers = Pollers(clock, chaos.poll + _SPARE)

    # What people and programs do

    async def inject(self, document: Mapping[str, object]) -> Injected:
        """Make a fault active; on return it acts on every live target, or 0.5 s have passed.

        Raises:
            FaultError: the document makes no sense, or its target does not exist.
            RefusedError: 409, far too many faults are active.
        """
        return (await self._begin([await self.check(document)]))[0]

    async def inject_all(self, documents: Sequence[Mapping[str, object]]) -> list[Injected]:
        """Make several faults active at the same moment, or none of them; raises as :meth:`inject`, naming which."""
        return await self._begin(await self.check_all(documents))

    async def check_all(self, documents: Sequence[Mapping[str, object]]) -> list[Checked]:
        """Return what could be injected now; raises as :meth:`inject`, naming which cannot."""
        checked = []
        for place, document in enumerate(documents):
            try:
                checked.append(await self.check(document))
            except FaultError as error:
                raise FaultError(f"faults[{place}].{error}") from None
        return checked

    async def check(self, document: Mapping[str, object]) -> Checked:
        """Return a fault that could be injected now, and what to know about it; raises as :meth:`inject`."""
        fault, warning = self._read(document)
        if self._admit is not None:
            await self._admit(fault)
        return fault, warning

    async def change(self, fault_id: str, changes: Mapping[str, object]) -> Injected:
        """Change an active fault by a merge patch (RFC 7396); a changed ``ttl`` counts from now on.

        Raises:
            FaultError: the result makes no sense, or kind or target would change.
            RefusedError: 404, never heard of it; 409, it has ended.
        """
        entry = self.find(fault_id)
        if entry.state != "active":
            raise RefusedError(409, f"fault {fault_id} has {entry.state}; inject a new one")
        document = entry.fault.document()
        for name in ("kind", "target"):
            if name in changes and changes[name] != document[name]:
                raise FaultError(f"{name}: cannot be changed; heal this fault and inject another")
        merged = {name: value for name, value in {**document, **changes}.items() if value is not None}
        fault, warning = await self.check(merged)
        if entry.state != "active":  # it ended while that was looked into
            raise RefusedError(409, f"fault {fault_id} has {entry.state}; inject a new one")
        entry.fault, entry.warning = fault, warning
        if "ttl" in changes:
            entry.deadline = self._clock() + entry.fault.ttl
            entry.expires_at = datetime.now(UTC) + timedelta(seconds=entry.fault.ttl)
        entry.version = self._bump()
        self._news.send()
        await self._taken_over([entry])
        return entry

    async def heal(self, fault_id: str, reason: str = "healed") -> Injected:
        """End a fault and wait up to 1 s for its final counts (``settled``); an ended fault stays as it is.

        Raises:
            RefusedError: 404, never heard of it.
        """
        entry = self.find(fault_id)
        await self._heal([entry], reason)
        return entry

    async def heal_all(self, reason: str = "healed") -> list[Injected]:
        """End everything at once; return what was active."""
        entries = list(self.active())
        await self._heal(entries, reason)
        return entries

    def find(self, fault_id: str) -> Injected:
        """Return a fault, active or ended; raises RefusedError (404)."""
        self._expire()
        entry = self._all.get(fault_id)
        if entry is None:
            raise RefusedError(404, f"there is no fault {fault_id!r}; GET /chaos/faults lists them all")
        return entry

    async def look(self, fault_id: str) -> Injected:
        """Return a fault whose counts are at most a moment old; raises as :meth:`find`."""
        entry = self.find(fault_id)
        if entry.state == "active":
            asked = self._clock()
            self._news.send()  # every poll returns, and the next one brings counts
            await self._pollers.until(
                lambda: (p for p in self._pollers.live() if entry.aims_at(p) and p.heard <= asked), _FRESH_COUNTS
            )
        elif not entry.settled:
            await self._settle([entry], _FRESH_COUNTS)
        return entry

    def all(self) -> list[Injected]:
        """Return everything remembered, oldest first."""
        self._expire()
        return list(self._all.values())

    def active(self) -> Iterator[Injected]:
        """Yield what is active now, in the order of injection."""
        self._expire()
        return (entry for entry in list(self._all.values()) if entry.state == "active")

    def connected(self) -> Iterator[Poller]:
        """Yield the processes that poll now."""
        return self._pollers.live()

    def hits_on_links(self) -> Iterator[tuple[str, str, int]]:
        """Yield id, kind and hits of each of the last faults of links, whose process has no metrics of its own."""
        for entry in list(self._all.values())[-_COUNTED:]:
            if entry.fault.place == "link":
                yield entry.id, entry.fault.kind, entry.injected

    def targets(self, entry: Injected) -> tuple[list[str], list[str]]:
        """Return which live targets have taken over the present state of a fault, and which have not yet."""
        aimed = [poller for poller in self._pollers.live() if entry.aims_at(poller)]
        done = [poller.name for poller in aimed if poller.version >= entry.version]
        return done, [poller.name for poller in aimed if poller.version < entry.version]

    # What services do

    async def poll(self, question: Question) -> dict[str, object]:
        """Answer a service: at once if it has not got the present set, else when something changes."""
        known = question.version if question.epoch == self.epoch else -1
        self._pollers.hear(question, version=known)
        self._count(question)
        if known == self.version:
            await self._news.wait(self._chaos.poll)
        answer: dict[str, object] = {"epoch": self.epoch, "version": self.version, "lease": self._chaos.lease}
        return {**answer, "faults": None if known == self.version else [*self._set()]}

    def _set(self) -> Iterator[dict[str, object]]:
        for entry in self.active():
            ttl_left = entry.deadline - self._clock()
            yield {"id": entry.id, "document": entry.fault.document(), "ttl_left": ttl_left, "ordinal": entry.ordinal}

    def _count(self, question: Question) -> None:
        process = (question.service, question.replica, question.boot)
        for fault_id, counts in question.counts.items():
            entry = self._all.get(fault_id) or self._carried(fault_id, question.carried.get(fault_id))
            if entry is not None:
                before = entry.counts.get(process, (0, 0))
                entry.counts[process] = (max(before[0], counts[0]), max(before[1], counts[1]))
                if entry.state == "carried" and not entry.is_told:
                    self._news.send()  # nothing else may be going on that would make somebody look

    def _carried(self, fault_id: str, document: Mapping[str, object] | None) -> Injected | None:
        """Return a new entry for a fault that a request has brought along; None for what makes no sense here."""
        if document is None:
            return None
        try:
            fault = parse_fault(document, services=None)
        except FaultError:  # a newer service knows kinds that this process does not
            return None
        now = datetime.now(UTC)
        entry = Injected(fault_id, fault, 0, now, now, self._clock(), self.version, state="carried", ended_at=now)
        self._remember(entry)
        return entry

    # What happens by itself

    async def watch(self) -> None:
        """Notice ends and publish events, until cancelled."""
        due = self._clock() + _REPORT_EVERY
        while True:
            await self._news.wait(self._quiet_until(due))
            self._expire()
            if self._clock() >= due:
                self._report()
                due = self._clock() + _REPORT_EVERY

    def _quiet_until(self, due: float) -> float | None:
        """Return for how many seconds nothing will have to be noticed or told; None: until something is injected."""
        ends = [entry.deadline for entry in self.active()]
        if not ends and all(entry.closing_until is None and entry.is_told for entry in self._all.values()):
            return None
        return max(0.001, min([due, *ends]) - self._clock())

    def _expire(self) -> None:
        now = self._clock()
        for entry in self._all.values():
            if entry.state == "active" and now >= entry.deadline:
                self._end(entry, "expired", "ttl")

    async def _heal(self, entries: list[Injected], reason: str) -> None:
        for entry in entries:
            if entry.state == "active":
                self._end(entry, "healed", reason)
        await self._settle(entries, FINAL_COUNTS)

    async def _settle(self, entries: Sequence[Injected], bound: float) -> None:
        """Wait up to ``bound`` seconds for the last counts of ended faults; who is later still is waited for aside."""
        closing = [entry for entry in entries if entry.closing_until is not None]
        await self._pollers.until(lambda: (p for entry in closing for p in self._lagging(entry)), bound)
        for entry in closing:
            self._close_if_told(entry)

    def _end(self, entry: Injected, state: State, reason: str) -> None:
        entry.state, entry.reason, entry.ended_at = state, reason, datetime.now(UTC)
        entry.version = self._bump()
        entry.closing_until = (
            self._clock() + self._chaos.lease + FINAL_COUNTS
        )  # after the lease nobody can hit any more
        self._news.send()

    def _close_if_told(self, entry: Injected) -> None:
        """Close an ended fault once every process that it aimed at has told its last counts, or is too late for it."""
        until = entry.closing_until
        if until is not None and (self._clock() >= until or not list(self._lagging(entry))):
            entry.closing_until = None
            self._tell_hits(entry)
            cleared = ChaosCleared(
                service="chaos", fault_id=entry.id, reason=entry.reason, injected_count=entry.injected
            )
            self._publish(cleared)

    def _report(self) -> None:
        for entry in list(self._all.values()):
            self._tell_hits(entry)
            self._close_if_told(entry)

    def _tell_hits(self, entry: Injected) -> None:
        hits: dict[str, int] = defaultdict(int)
        for (service, _, _), (_, injected) in entry.counts.items():
            hits[entry.fault.target.service if service == LINKS else service] += injected
        for service, injected in hits.items():
            if injected > entry.told[service]:
                event = ChaosInjected(
                    service=service,
                    fault_id=entry.id,
                    chaos_type=entry.fault.kind,
                    details=entry.fault.document(),
                    count=injected - entry.told[service],
                    timestamp=datetime.now(UTC),
                )
                entry.told[service] = injected
                self._publish(event)

    # What all of it needs

    def _read(self, document: Mapping[str, object]) -> tuple[Fault, str | None]:
        pollers = list(self._pollers.live())
        services = dict.fromkeys([*SERVICES, *(poller.service for poller in pollers if poller.service != LINKS)])
        seeded = {**document, "seed": self._chaos.seed} if document.get("seed") is None else document
        fault = parse_fault(seeded, services=tuple(services))
        if fault.carried_out_by and fault.place != "store" and not self._chaos.supervisor:
            raise FaultError(f"kind: {fault.kind} needs {fault.needs}; here, no supervisor can be asked for it")
        return fault, check_target(fault, pollers, links=self._chaos.links)

    def _bump(self) -> int:
        self.version += 1
        return self.version

    async def _begin(self, checked: Sequence[Checked]) -> list[Injected]:
        """Let faults act from now on, all from the same version of the set."""
        if sum(1 for _ in self.active()) + len(checked) > MOST_ACTIVE:
            raise RefusedError(409, f"more than {MOST_ACTIVE} faults would be active; heal some first")
        version = self._bump()
        entries = [self._enter(fault, warning, version) for fault, warning in checked]
        self._news.send()
        await self._taken_over(entries)
        return entries

    def _enter(self, fault: Fault, warning: str | None, version: int) -> Injected:
        twins = [i.ordinal for i in self.active() if (i.fault.identity, i.fault.seed) == (fault.identity, fault.seed)]
        now = datetime.now(UTC)
        entry = Injected(
            id=f"{fault.kind}-{secrets.token_hex(4)}",
            fault=fault,
            ordinal=next(n for n in range(len(twins) + 1) if n not in twins),
            created_at=now,
            expires_at=now + timedelta(seconds=fault.ttl),
            deadline=self._clock() + fault.ttl,
            version=version,
            warning=warning,
        )
        self._remember(entry)
        return entry

    async def _taken_over(self, entries: Sequence[Injected]) -> None:
        await self._pollers.until(lambda: (p for entry in entries for p in self._lagging(entry)), TAKE_OVER)

    def _lagging(self, entry: Injected) -> Iterator[Poller]:
        ended = entry.closing_until is not None
        pollers = self._pollers.owing(self._chaos.lease) if ended else self._pollers.live()
        return (p for p in pollers if entry.aims_at(p) and p.version < entry.version)

    def _remember(self, entry: Injected) -> None:
        self._all[entry.id] = entry
        if len(self._all) > _REMEMBERED:
            ended = next((i for i, e in self._all.items() if e.state != "active" and e.closing_until is None), None)
            if ended is not None:
                del self._all[ended]

    def show(self, entry: Injected) -> dict[str, Any]:
        """Return a fault as the API shows it: its flat document, what has become of it, and who acts."""
        done, waiting = self.targets(entry)
        return {**entry.document(), "acknowledged": done, "waiting_for": waiting, "warning": entry.warning}
