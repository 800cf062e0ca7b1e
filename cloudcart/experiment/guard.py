"""Guard rails: objectives that end a run when they are broken over two seconds while a fault acts.

Reads as objectives are read (``readings``), from the client's rows and the lab's own scrapes, so a service's guard rail
is about that service. What cannot be read while a run goes on is refused when the experiment is defined. Asked by
``course``, which does the healing; ``fail_fast`` is about objectives that cannot hold any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cloudcart.experiment.readings import Readings
from cloudcart.signals import (
    Judgement,
    MetricNames,
    Objective,
    RowsSource,
    Scrape,
    ScrapeSource,
    Source,
    Verdict,
    Window,
    judge,
)

SETTLING: Final = 1.0
"""Seconds after which a row that was due is taken to be there."""

_GUARDED: Final = 2.0  # seconds over which an objective must be broken
_OLD: Final = 1.5  # seconds before that from which a scrape still tells how it began


class GuardRails:
    """Looks whether a guard rail is broken.

    Args:
        objectives: the guard rails.
        rows: returns the client's rows so far.
        scrapes: returns the scrapes so far.
        names: which metric tells what.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        rows: Callable[[], Mapping[str, Sequence[Any]]],
        scrapes: Callable[[], Sequence[Scrape]],
        names: MetricNames,
    ) -> None:
        self._objectives, self._rows, self._scrapes, self._names = objectives, rows, scrapes, names

    def broken(self, now: float) -> Judgement | None:
        """Return the first that was broken over the last two seconds of which all is known; None if all held."""
        if not self._objectives:
            return None
        window = Window(now - SETTLING - _GUARDED, now - SETTLING, "fault")
        recent = [scrape for scrape in self._scrapes() if scrape.time >= window.start - _OLD]
        sources: dict[str, Source] = {"client": RowsSource(self._rows()), "scrape": ScrapeSource(recent, self._names)}
        readings = Readings([window], sources)
        for objective in self._objectives:
            found = judge(objective, readings.of(objective))
            if found.verdict is Verdict.FAIL:
                return replace(found, objective=replace(objective, name=f"guard rail {objective.text}"))
        return None
