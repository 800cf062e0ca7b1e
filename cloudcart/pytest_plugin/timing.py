"""Where a session's time went: starting labs, giving load, and what else each scenario took.

Measured by ``fixtures`` and ``session_lab``, sent as findings like all else, said in one line by ``summary``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


class Stopwatch:
    """Adds up the time of its blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of the block."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - began


def load_seconds(record: Mapping[str, Any]) -> float:
    """Return how long a run's load was given, recovery included."""
    phases = record["phases"]
    return float(phases[-1]["end"] - phases[0]["start"]) if phases else 0.0


def time_spent(findings: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Yield the line that says it; nothing where no lab was started and no scenario run."""
    labs = [found["lab_seconds"] for found in findings if "lab_seconds" in found]
    runs = [found for found in findings if "run_seconds" in found]
    parts = []
    if labs:
        parts.append(f"{_counted(len(labs), 'lab')} started in {sum(labs):.1f} s")
    if runs:
        load = sum(found["load_seconds"] for found in runs)
        resets = sum(found.get("reset_seconds", 0.0) for found in findings)
        beside = sum(found["run_seconds"] for found in runs) - load + resets
        each = f"{beside / len(runs):.2f} s beside it per scenario"
        parts.append(f"{_counted(len(runs), 'scenario')}: {load:.1f} s of load and recovery, {each}")
    if parts:
        yield f"time: {'; '.join(parts)}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
