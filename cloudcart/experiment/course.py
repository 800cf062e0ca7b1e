"""The part of a run in which time passes: follows the schedule, ends early if it must, waits for recovery.

What must end it is said by ``guard`` and ``fail_fast``. Owned by ``run.py``, which decides what happens before and
after. Times are unix seconds unless said otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from cloudcart.exceptions import LoadError
from cloudcart.experiment.experiment import Experiment
from cloudcart.experiment.fail_fast import FailFast
from cloudcart.experiment.guard import SETTLING, GuardRails
from cloudcart.experiment.schedule import timeline
from cloudcart.lab import InjectedFault, Lab
from cloudcart.load import LoadRun
from cloudcart.signals import Judgement, Reading, ScrapeLog, SteadyState, Window, time_to_recover

_TICK: Final = 0.1
_LOOK: Final = 0.5  # seconds between two looks at what may end the run early


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
    """The part of a run in which time passes: follows the schedule and notices when it must end early.

    Args:
        experiment: whose schedule and guard rails.
        lab: where faults are injected.
        load: what is given meanwhile.
        watch: takes scrapes at the edges of phases.
        watcher: told what is going on.
        fail_fast: end as soon as an objective cannot hold any more.
    """

    def __init__(
        self,
        experiment: Experiment,
        lab: Lab,
        load: LoadRun,
        watch: ScrapeLog,
        watcher: Watcher,
        *,
        fail_fast: bool = False,
    ) -> None:
        self._experiment, self._lab, self._load, self._watch, self._watcher = experiment, lab, load, watch, watcher
        self._planned = experiment.phases(load.started)
        self._edges: dict[float, float] = {}
        self._active: dict[int, InjectedFault] = {}
        self.injected: list[InjectedFault] = []
        self.aborted: Judgement | None = None
        self._guards = GuardRails(experiment.abort_if, load.rows, lambda: watch.scrapes, lab.metric_names)
        even = not load.profile.stages  # of a load that may still grow nobody knows how much good it may bring
        self._fail_fast = FailFast(experiment.objectives if fail_fast and even else (), load.rows)
        self._lost = False
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
        if not self.injected or self._lost:
            return None
        healed = max(fault.window.end for fault in self.injected)
        steady = SteadyState.seen(self._load.rows(), next(p for p in self.phases() if p.name == "steady"))
        if steady is None:
            return None
        end = min(healed + self._experiment.recovery_deadline, self._load.started + self._experiment.load_seconds)
        while True:
            now = min(time.time() - SETTLING, end)
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
            if self._must_end():
                self._edge(next(phase.end for phase in self._experiment.phases(0.0) if phase.end not in self._edges))
                return False
            self._watcher(self._progress())
            time.sleep(min(left, _TICK))
        return True

    def _must_end(self) -> bool:
        """Say, now and then, whether a guard rail is broken or an objective cannot hold any more."""
        now = time.time()
        if now < self._next_look:
            return False
        self._next_look = now + _LOOK
        if self._active:
            self.aborted = self._guards.broken(now)
        if self.aborted is None:
            self.aborted = self._fail_fast.lost(self._begun())
            self._lost = self.aborted is not None
        return self.aborted is not None

    def _begun(self) -> dict[str | None, Window]:
        """Return the phases after the warm-up that have begun, with the ends they will have; under None, all of it."""
        started = self._load.started
        begun = [phase for phase in self._experiment.phases(0.0)[1:] if phase.start in self._edges]
        found: dict[str | None, Window] = {
            phase.name: Window(self._edges[phase.start], self._edges.get(phase.end, started + phase.end), phase.name)
            for phase in begun
        }
        if begun:
            found[None] = Window(self._edges[begun[0].start], started + self._experiment.load_seconds)
        return found

    def _progress(self) -> Progress:
        now = time.time()
        phase = next((p.name for p in self._planned if p.start <= now < p.end), "")
        labels = tuple(injected.fault.label for injected in self._active.values())
        return Progress(phase, now - self._load.started, self._planned[-1].end - self._load.started, self._load, labels)
