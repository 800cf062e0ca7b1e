"""A run's readings: answers to its objectives, and the overview of golden signals that every run leaves behind.

Knows phases and sources; what a reading means is ``signals.judge``'s business. Used by ``judgement`` and ``agreement``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cloudcart.signals import Objective, Reading, RowsSource, Slo, Source, Window, time_to_alert

_OF_CLIENTS: Final = ("traffic", "errors", "throttled", "mean", "p50", "p95", "p99")
_OF_SERVICES: Final = ("traffic", "errors", "p50", "p95", "p99", "cpu", "memory", "loop_lag", "pool", "lag")
WHOLE: Final = "whole"
"""Name of the window from the end of the warm-up to the end of the load."""


class Readings:
    """Answers from the source and phase that are asked for.

    Args:
        phases: as they were, in order of time.
        sources: by name.
        recovery: the time to recover, if anything was broken.
        time_scale: how many times faster than real time burn-rate windows run.
    """

    def __init__(
        self,
        phases: Sequence[Window],
        sources: Mapping[str, Source],
        recovery: Reading | None = None,
        time_scale: float = 1.0,
    ) -> None:
        self._time_scale = time_scale
        self._recovery = recovery
        self._phases = {phase.name: phase for phase in phases}
        self._sources = sources

    def of(self, objective: Objective) -> Reading:
        """Return the reading that the objective asks for; without a value where there is none."""
        if objective.signal == "recovery":
            return self._recovery or _nothing(objective, self.whole(), "nothing was broken, so nothing recovered")
        if objective.signal == "alert":
            return self._alert(objective)
        window = self.window(objective)
        if window is None:
            return _nothing(objective, self.whole(), f"the run never reached the phase {objective.phase!r}")
        if objective.signal == "burn":
            return self._burn(objective, window)
        return self.read(objective.source, objective, window)

    def _burn(self, objective: Objective, window: Window) -> Reading:
        """Return the burn rate: the ratio of errors in units of the share that the budget allows."""
        assert objective.slo is not None  # an objective on burn cannot be written without
        errors = self.read(objective.source, replace(objective, signal="errors"), window)
        budget = 1 - objective.slo
        value, low, high = (
            None if number is None else number / budget for number in (errors.value, errors.low, errors.high)
        )
        return replace(errors, signal="burn", unit="count", value=value, low=low, high=high)

    def _alert(self, objective: Objective) -> Reading:
        assert objective.slo is not None
        whole = self.whole()
        watched = Window(self._phases["fault"].start if "fault" in self._phases else whole.start, whole.end)
        rows = self._sources["client"]
        assert isinstance(rows, RowsSource)
        slo = Slo(objective.slo, time_scale=self._time_scale)
        return time_to_alert(rows, slo, watched, route=objective.route)

    def read(self, source: str, objective: Objective, window: Window) -> Reading:
        """Return the same signal from another source."""
        if source not in self._sources:
            return _nothing(
                objective, window, "no prometheus binary was found, so no server watched; install prometheus"
            )
        return self._sources[source].read(objective.signal, window, service=objective.service, route=objective.route)

    def of_source(self, source: str, signal: str, window: Window, service: str | None, route: str | None) -> Reading:
        """Return any signal of any service and route from one source."""
        return self._sources[source].read(signal, window, service=service, route=route)

    def window(self, objective: Objective) -> Window | None:
        """Return the phase that the objective is about; None if the run never reached it."""
        return self.whole() if objective.phase is None else self._phases.get(objective.phase)

    def whole(self) -> Window:
        """The run after the warm-up."""
        measured = self.measured()
        if not measured:
            return Window(0.0, 0.0)
        return Window(min(phase.start for phase in measured), max(phase.end for phase in measured), WHOLE)

    def across(self, window: Window) -> float:
        """Return the share of the window's requests that were under way at one of its edges, as clients saw it."""
        rows = self._sources["client"]
        assert isinstance(rows, RowsSource)
        requests = rows.read("traffic", window).samples
        return (rows.under_way(window.start) + rows.under_way(window.end)) / requests if requests else 0.0

    def measured(self) -> list[Window]:
        """The phases after the warm-up."""
        return [phase for name, phase in self._phases.items() if name != "warmup"]


def overview(readings: Readings, services: Iterable[str]) -> list[Reading]:
    """Return the golden signals of every phase and of the whole run: what clients saw, and each service's own.

    This is what runs are compared by. A signal without data is left out.
    """
    windows = [readings.whole(), *readings.measured()]
    found = [readings.of_source("client", name, window, None, None) for window in windows for name in _OF_CLIENTS]
    found += [
        readings.of_source("scrape", name, window, service, None)
        for service in services
        for window in windows
        for name in _OF_SERVICES
    ]
    return [reading for reading in found if reading.value is not None]


def _nothing(objective: Objective, window: Window, why: str) -> Reading:
    return Reading(
        objective.signal, None, objective.unit, 0, None, None, window, objective.source, objective.service, note=why
    )
