"""The part of a run in which time passes: follows the schedule, watches guard rails, waits for recovery.

Owned by ``run.py``, which decides what happens before and after. Times are unix seconds unless said otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from cloudcart.exceptions import LoadError
from cloudcart.experiment.experiment import Experiment
from cloudcart.experiment.schedule import timeline
from cloudcart.lab import InjectedFault, Lab
from cloudcart.load import LoadRun
from cloudcart.signals import (
    Judgement,
    Reading,
    RowsSource,
    ScrapeLog,
    SteadyState,
    Verdict,
    Window,
    judge,
    time_to_recover,
)

_TICK: Final = 0.1
_SETTLING: Final = 1.0  # seconds after which a row that was due is taken to be there
_GUARDED: Final = 2.0  # seconds over which an objective must be broken to abort ..
_LOOK: Final = 0.5  # .. and how often that is looked at


class Progress(NamedTuple):
    """What a run is doing, for whoever shows it."""

    phase: str
    elapsed: float
    total: float
    load: LoadRun | None = None
    active: tuple[str, ...] = ()


Watcher = Callable[[Progress], None]


def unwatched(progress: Progress) -> None:
    """Watch nothing: the default where nobody shows a run's progress."""


class Course:
    """The part of a run in which time passes: follows the schedule and notices when it must end early."""

    def __init__(self, experiment: Experiment, lab: Lab, load: LoadRun, watch: ScrapeLog, watcher: Watcher) -> None:
        self._experiment, self._lab, self._load, self._watch, self._watcher = experiment, lab, load, watch, watcher
        self._planned = experiment.phases(load.started)
        self._edges: dict[float, float] = {}
        self._active: dict[int, InjectedFault] = {}
        self.injected: list[InjectedFault] = []
        self.aborted: Judgement | None = None
        self._next_look = 0.0

    def follow(self) -> None:
        """Do each step when it is due."""
        for step in timeline(self._experiment):
            if not self._wait(step.at):
                return
            if step.action == "edge":
                self._edge(step.at)
            elif step.fault is not None and step.action == "inject":
                fault = self._lab.inject_fault(self._experiment.seeded(step.fault.fault))
                self._active[id(step.fault)] = fault
                self.injected.append(fault)
            elif step.fault is not None:
                self._active.pop(id(step.fault)).heal()

    def wait_until_steady(self) -> Reading | None:
        """Return the time from the last heal until the shop was as good as before, waiting for it if need be."""
        if not self.injected:
            return None
        healed = max(fault.window.end for fault in self.injected)
        steady = SteadyState.seen(self._load.rows(), next(p for p in self.phases() if p.name == "steady"))
        if steady is None:
            return None
        end = min(healed + self._experiment.recovery_deadline, self._load.started + self._experiment.load_seconds)
        while True:
            now = min(time.time() - _SETTLING, end)
            found = time_to_recover(self._load.rows(), healed, steady, until=now)
            if found.value is not None or now >= end or not self._load.running:
                return found
            self._watcher(self._progress())
            time.sleep(_TICK)

    def phases(self) -> list[Window]:
        """The phases as they were: planned edges replaced by when they were reached, none that was not."""
        return [
            Window(self._edges[phase.start], self._edges[phase.end], phase.name)
            for phase in self._experiment.phases(0.0)
            if phase.start in self._edges and phase.end in self._edges
        ]

    def _edge(self, at: float) -> None:
        self._watch.mark()
        self._edges[at] = time.time()

    def _wait(self, at: float) -> bool:
        """Let time pass until ``at`` seconds after the start of load; False when the run must end early."""
        while (left := self._load.started + at - time.time()) > 0:
            if not self._load.running and left > _TICK:
                raise LoadError(f"the load generator ended {left:.1f}s early; see generator.log in the run's folder")
            self.aborted = self._guard_rail()
            if self.aborted:
                self._edge(at)
                return False
            self._watcher(self._progress())
            time.sleep(min(left, _TICK))
        return True

    def _guard_rail(self) -> Judgement | None:
        """Return what was broken over the last two seconds although the experiment says to stop then."""
        now = time.time()
        if not self._experiment.abort_if or not self._active or now < self._next_look:
            return None
        self._next_look = now + _LOOK
        rows = RowsSource(self._load.rows())
        window = Window(now - _SETTLING - _GUARDED, now - _SETTLING, "guard")
        for objective in self._experiment.abort_if:
            found = judge(objective, rows.read(objective.signal, window, route=objective.route))
            if found.verdict is Verdict.FAIL:
                return replace(found, objective=replace(objective, name=f"guard rail {objective.text}"))
        return None

    def _progress(self) -> Progress:
        now = time.time()
        phase = next((p.name for p in self._planned if p.start <= now < p.end), "")
        labels = tuple(injected.fault.label for injected in self._active.values())
        return Progress(phase, now - self._load.started, self._planned[-1].end - self._load.started, self._load, labels)
