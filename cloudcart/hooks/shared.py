"""The set of active faults for an application in which several threads ask, and another one follows the control plane.

The same decisions as :class:`~cloudcart.chaos.active.ActiveFaults`, one at a time. ``any`` stays a plain attribute, so
without a fault nobody waits for anybody.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.matching import Work
from cloudcart.chaos.record import ActiveFault
from cloudcart.faults import Fault


class SharedFaults(ActiveFaults):
    """What is active in one process, for any number of threads."""

    __slots__ = ("_lock",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._lock = threading.RLock()
        super().__init__(*arguments, **options)

    def add(self, fault: Fault, fault_id: str, **when: Any) -> ActiveFault | None:
        """Make a fault active."""
        with self._lock:
            return super().add(fault, fault_id, **when)

    def remove(self, fault_id: str) -> None:
        """End one fault."""
        with self._lock:
            super().remove(fault_id)

    def clear(self) -> None:
        """End every fault."""
        with self._lock:
            super().clear()

    def replace(self, faults: Iterable[tuple[str, Fault, float, int]], lease: float) -> None:
        """Take over the control plane's set."""
        with self._lock:
            super().replace(faults, lease)

    def renew(self, lease: float) -> None:
        """The control plane was heard."""
        with self._lock:
            super().renew(lease)

    def records(self) -> list[ActiveFault]:
        """Return what is active at this moment."""
        with self._lock:
            return super().records()

    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Return drawn and injected of every fault known."""
        with self._lock:
            return super().counts()

    def carried(self) -> Mapping[str, Fault]:
        """Return the faults that requests brought along."""
        with self._lock:
            return super().carried()

    def history(self) -> list[ActiveFault]:
        """Return every record whose counts are still known."""
        with self._lock:
            return super().history()

    def matching(self, work: Work, inject: str = "") -> Sequence[ActiveFault]:
        """Return the faults that could hit this piece of work."""
        with self._lock:
            return super().matching(work, inject)

    def decide(self, record: ActiveFault, route: str, key: str) -> bytes | None:
        """Return the draw of a fault that hits the work with this key now, and count it."""
        with self._lock:
            return super().decide(record, route, key)
