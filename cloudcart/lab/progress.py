"""What the supervisor tells whoever started it: phases that are done, then ready or what went wrong, a JSON line each.

The supervisor writes (:class:`Reporter`), the starting process reads (:func:`read_line`). Not here: what the phases do.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

from cloudcart.exceptions import BackendError, CloudCartError, FaultError, LabError, UsageError

_ERRORS: Final[dict[str, type[CloudCartError]]] = {
    error.__name__: error for error in (BackendError, FaultError, LabError, UsageError)
}


class Phase(NamedTuple):
    """A part of a start: seconds since the start was asked for. Phases overlap where processes work side by side."""

    name: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


class Reporter:
    """Writes to the process that started the lab, for as long as that listens.

    Args:
        descriptor: the pipe's end.
        began: when the start was asked for, on this machine's monotonic clock.
    """

    def __init__(self, descriptor: int, began: float) -> None:
        self._descriptor = descriptor
        self._began = began
        self.phases: list[Phase] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the start was asked for."""
        return time.monotonic() - self._began

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Report the block as a phase, if it ends well."""
        start = self.elapsed
        yield
        self.add(name, start, self.elapsed)

    def add(self, name: str, start: float, end: float) -> None:
        """Report a phase that was timed elsewhere."""
        phase = Phase(name, round(start, 4), round(end, 4))
        self.phases.append(phase)
        self._tell({"phase": phase})

    def since_start(self, wall: float) -> float:
        """Return seconds since the start for a moment on the wall clock, such as a file's time."""
        return wall - time.time() + self.elapsed

    def ready(self) -> None:
        """Say that the lab is ready."""
        self._tell({"ready": True})

    def failed(self, error: CloudCartError) -> None:
        """Say what went wrong; the lab ends."""
        name = type(error).__name__
        self._tell({"error": str(error), "type": name if name in _ERRORS else "LabError"})

    def close(self) -> None:
        """Say no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _tell(self, message: dict[str, Any]) -> None:
        if self._descriptor >= 0:
            with suppress(BrokenPipeError):
                os.write(self._descriptor, json.dumps(message).encode() + b"\n")


def read_line(line: bytes) -> Phase | None:
    """Return the phase that a line reports; None when it says that the lab is ready.

    Raises:
        CloudCartError: the line says what went wrong.
    """
    message = json.loads(line)
    if "error" in message:
        raise _ERRORS[message["type"]](message["error"])
    return Phase(*message["phase"]) if "phase" in message else None
