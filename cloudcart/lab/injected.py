"""A fault that somebody has injected by hand or by a schedule: its counts, its window, its heal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

    from cloudcart.chaos.client import ControlPlane
    from cloudcart.faults import Fault
    from cloudcart.signals import Window


class InjectedFault:
    """A fault on a lab; a context manager that heals it.

    Args:
        fault: what was injected.
        shown: the control plane's answer.
        control_plane: heals it.
        before_heal: called at the last moment at which the fault still acts everywhere.
    """

    def __init__(
        self,
        fault: Fault,
        shown: Mapping[str, Any],
        control_plane: ControlPlane,
        before_heal: Callable[[], object] = lambda: None,
    ) -> None:
        self.fault = fault
        self.id: str = shown["id"]
        self._shown = dict(shown)
        self._control_plane = control_plane
        self._before_heal = before_heal
        self._start = time.time()
        self._end: float | None = None

    @property
    def injected(self) -> int:
        """How many requests it has hit."""
        return int(self._now()["injected"])

    @property
    def drawn(self) -> int:
        """How many requests it was drawn for: those that matched its target."""
        return int(self._now()["drawn"])

    @property
    def window(self) -> Window:
        """The time (unix seconds) in which it acted everywhere: up to its heal, its TTL's end, or now."""
        from cloudcart.signals import Window

        expiry = self._start + self.fault.ttl
        return Window(self._start, min(expiry, self._end or time.time()), self.fault.label)

    def heal(self) -> None:
        """End it, and wait until every service has ended it; idempotent.

        Raises:
            LabError: the control plane does not answer; the fault ends with its lease.
        """
        if self._end is None:
            self._before_heal()
            self._end = time.time()
            self._shown = self._control_plane.heal(self.id)

    def _now(self) -> Mapping[str, Any]:
        if self._end is None:
            self._shown = self._control_plane.fault(self.id)
        return self._shown

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
