"""One fault as the control plane remembers it: what was asked for, what has become of it, how often it hit.

A record without a clock of its own; ``ledger`` decides when it begins and ends.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cloudcart.faults import Fault
from cloudcart.services.chaos_control.pollers import Poller

State = Literal["active", "healed", "expired", "carried"]
"""``carried``: it acted on requests that brought it along, in a header, and only on those."""


@dataclass(slots=True, eq=False)
class Injected:
    """One injected fault. ``counts`` are (drawn, injected) by process; ``told`` what events have said, by service."""

    id: str
    fault: Fault
    ordinal: int
    created_at: datetime
    expires_at: datetime
    deadline: float
    version: int
    state: State = "active"
    ended_at: datetime | None = None
    reason: str = ""
    closing_until: float | None = None
    counts: dict[tuple[str, int, str], tuple[int, int]] = field(default_factory=dict)
    told: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    warning: str | None = None

    @property
    def drawn(self) -> int:
        """How many requests were drawn for, over all processes."""
        return sum(drawn for drawn, _ in self.counts.values())

    @property
    def injected(self) -> int:
        """How many were hit."""
        return sum(injected for _, injected in self.counts.values())

    @property
    def is_told(self) -> bool:
        """Whether events have said how often it hit."""
        return self.injected == sum(self.told.values())

    @property
    def settled(self) -> bool:
        """Whether it has ended and every process that it aimed at has told its last counts."""
        return self.state in ("healed", "expired") and self.closing_until is None

    def aims_at(self, poller: Poller) -> bool:
        """Return whether a process is among the targets."""
        return self.fault.acts_in(poller.service, poller.replica)

    def document(self) -> dict[str, Any]:
        """Return the flat document, and what has become of the fault."""
        fault = self.fault
        return {
            "id": self.id,
            **fault.document(),
            **fault.model_dump(mode="json", include={"probability", "ttl", "seed"}),
            "label": fault.label,
            "state": self.state,
            "created_at": _rfc3339(self.created_at),
            "expires_at": _rfc3339(self.expires_at),
            "ended_at": None if self.ended_at is None else _rfc3339(self.ended_at),
            "settled": self.settled,
            "reason": self.reason or None,
            "drawn": self.drawn,
            "injected": self.injected,
        }


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
