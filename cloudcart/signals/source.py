"""What every source of readings can do, and whether several of them agree.

Three sources answer the same question: ``rows`` (what clients saw), ``scrape`` (the lab's own scrapes) and
``prometheus`` (a server). ``experiment`` picks one per objective.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Final, Protocol

from cloudcart.signals.amounts import format_amount
from cloudcart.signals.reading import Reading, Unit, Window

TOLERANCE: Final = 0.05
"""Two sources agree within this share of the larger value."""

_UNDECIDED: Final[dict[Unit, float]] = {"s": 0.005, "ratio": 0.005}
"""Differences that say nothing: client and server start their clocks at different places; edges cut requests in two."""


class Source(Protocol):
    """Something that can be asked for a signal over a window."""

    @property
    def name(self) -> str:
        """``client``, ``scrape`` or ``prometheus``."""

    def read(self, signal: str, window: Window, *, service: str | None = None, route: str | None = None) -> Reading:
        """Return the reading; without data its value is None.

        Raises:
            UsageError: there is no such signal, or ``route`` is not a route.
        """


def disagreement(readings: Iterable[Reading], tolerance: float = TOLERANCE) -> str | None:
    """Return a sentence on the two readings of one signal that differ most, None when all agree within ``tolerance``.

    Readings without data are left out. Up to 5 ms, or 0.5 % of requests, is not called a disagreement.
    """
    known = [reading for reading in readings if reading.value is not None]
    worst = max(combinations(known, 2), key=lambda pair: _gap(*pair), default=None)
    if worst is None or _gap(*worst) <= tolerance:
        return None
    first, second = worst
    return f"sources disagree on {first.signal}: {_said(first)}, {_said(second)} ({_gap(*worst):.0%} apart)"


def _gap(first: Reading, second: Reading) -> float:
    assert first.value is not None
    assert second.value is not None
    difference = abs(first.value - second.value)
    if difference <= _UNDECIDED.get(first.unit, 0.0):
        return 0.0
    return difference / max(abs(first.value), abs(second.value))


def _said(reading: Reading) -> str:
    where = f" at {reading.service}" if reading.service else ""
    return f"{format_amount(reading.value, reading.unit)} by {reading.source}{where}"
