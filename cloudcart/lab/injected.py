"""A fault that somebody has injected by hand or by a schedule: its counts, its window, its heal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

    from cloudcart.chaos.client import ControlPlane
    from cloudcart.faults import Fault
    from cloudcart.signals import Window


_LAST_COUNTS: Final = 8.0  # seconds to wait for the last counts; the control plane itself gives up earlier


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
        self._shown: Mapping[str, Any] = shown
        self._control_plane = control_plane
        self._before_heal = before_heal
        self._start = time.time()
        self._end: float | None = None  # when it was healed here

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
        """The time (unix seconds) in which it acted everywhere: up to its heal, the end of its TTL, or now."""
        from cloudcart.signals import Window

        ended = self._now()["ended_at"]
        end = time.time() if ended is None else datetime.fromisoformat(ended).timestamp()
        return Window(self._start, end if self._end is None else min(end, self._end), self.fault.label)

    def heal(self) -> None:
        """End it, and wait until every service has ended it; idempotent.

        Raises:
            LabError: the control plane does not answer; the fault ends with its lease.
        """
        if self._end is None and not self._is_over:
            self._before_heal()
            self._end = time.time()
            self._shown = self._control_plane.heal(self.id)

    @property
    def _is_over(self) -> bool:
        return self._shown["ended_at"] is not None

    def _now(self) -> Mapping[str, Any]:
        """Ask how it is; of an ended one, until a busy service has told its last counts, too."""
        deadline = time.monotonic() + _LAST_COUNTS
        while not self._shown["settled"]:
            self._shown = self._control_plane.fault(self.id)
            if not self._is_over or time.monotonic() >= deadline:
                break
        return self._shown

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
