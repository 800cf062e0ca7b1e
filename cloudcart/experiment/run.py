"""One execution of an experiment: :func:`run` brings lab, load, faults, signals and record together, in ten steps.

The only place that knows all five. It decides nothing by itself: what is claimed is in the experiment, what is true is
in the readings, what they mean is ``signals.judge``. Called by the pytest plugin and the command line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from cloudcart.exceptions import LoadError
from cloudcart.experiment.experiment import Experiment, ScheduledFault
from cloudcart.experiment.judgement import Evidence, judge_run
from cloudcart.experiment.record import Record
from cloudcart.experiment.scenario import find_scenario, load_scenario
from cloudcart.experiment.schedule import timeline
from cloudcart.lab import InjectedFault, Lab, attach, start
from cloudcart.load import LoadRun, start_load
from cloudcart.report import write_report
from cloudcart.signals import Reading, ScrapeLog, Scraper, SteadyState, Verdict, Window, signals_table, time_to_recover

_TICK: Final = 0.1
_SETTLING: Final = 1.0  # seconds after which a row that was due is taken to be there
_TRAFFIC_DEADLINE: Final = 15.0


class Progress(NamedTuple):
    """What a run is doing, for whoever shows it."""

    phase: str
    elapsed: float
    total: float
    load: LoadRun | None = None
    active: tuple[str, ...] = ()


Watcher = Callable[[Progress], None]


class Run:
    """A finished run: what its folder holds, as Python values."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record
        self.directory = Path(record["directory"])
        self.verdict = Verdict(record["verdict"])

    @property
    def passed(self) -> bool:
        """Whether every objective and invariant was shown to hold; inconclusive is not passed."""
        return self.verdict is Verdict.PASS

    @property
    def report(self) -> Path:
        """The report's file."""
        return self.directory / "report.html"

    @property
    def summary(self) -> str:
        """One line: verdict, name, seed, report."""
        return f"{self.verdict:<12} {self.record['name']}  seed {self.record['seed']}  {self.report}"

    def explain(self) -> str:
        """One line per objective, invariant and note: what was read, what was asked, on how many samples."""
        lines = [f"{self.record['name']}: {self.verdict.upper()}: {self.record['claim']}"]
        for found in self.record["objectives"]:
            lines.append(f"  {found['verdict']:<12} {found['objective']}: {found['reason']}")
        for found in self.record["invariants"]:
            lines.append(f"  {found['verdict']:<12} {found['name']}: {found['detail']}")
        lines += [f"  note: {note}" for note in self.record["notes"]]
        return "\n".join([*lines, f"  seed {self.record['seed']}; report: {self.report}"])


def run(
    experiment: Experiment, lab: Lab, *, folder: Path, command: str = "", watcher: Watcher = lambda progress: None
) -> Run:
    """Execute ``experiment`` on ``lab`` and return the run.

    1 save the record; 2 heal and reset the lab; 3 check that it is steady; 4 start load and wait until traffic flows;
    5 follow the schedule: inject, heal; 6 heal everything, always; 7 wait until it is steady again; 8 stop the load and
    save; 9 read signals, judge, save; 10 close what was opened, in reverse order.

    Args:
        experiment: what to do and what to claim.
        lab: where; it must be running, with the experiment's settings.
        folder: where the run's own folder is made.
        command: what somebody types to run this again.
        watcher: told what is going on, ten times a second.

    Raises:
        UsageError: the folder cannot be written.
        LabError: the lab is gone.
        LoadError: the load generator could not run.
    """
    began = time.monotonic()
    record = Record(folder, experiment, lab, command)  # 1
    with ExitStack() as opened:
        lab.reset()  # 2
        events = opened.enter_context(lab.tap_events())
        notes = lab.unsteady()  # 3
        scraper = opened.enter_context(Scraper(lab.service_urls))
        watch = opened.enter_context(ScrapeLog(scraper))
        load = opened.enter_context(_start(experiment, lab, record.directory, watcher))  # 4
        opened.callback(lab.heal)
        course = _Course(experiment, lab, load, watch, watcher)
        try:
            course.follow()  # 5
        finally:
            lab.heal()  # 6
        recovery = course.wait_until_steady()  # 7
        requests = load.stop()  # 8
        watch.mark()
        scrapes = watch.scrapes
        record.save_table(signals_table(scrapes), "signals.parquet")
        events.drain()
        record.save_events(events.published())
        evidence = Evidence(  # 9
            experiment=experiment,
            phases=course.phases(),
            requests=requests,
            scrapes=scrapes,
            faults=course.injected,
            recovery=recovery,
            saturated=load.saturated,
            invariants=lab.check_invariants(),
            prometheus=lab.urls.get("prometheus", ""),
            notes=[*notes, *course.notes],
        )
        record.save(**judge_run(evidence), generator=load.summary(), seconds=round(time.monotonic() - began, 3))
        write_report(record.fields, record.directory)
    return Run(record.fields)  # 10


def run_scenario(
    name: str,
    *,
    seed: int = 0,
    settings: Mapping[str, str] | None = None,
    folder: Path,
    lab_name: str | None = None,
    watcher: Watcher = lambda progress: None,
) -> Run:
    """Start a lab of its own, run a shipped or given scenario on it, end the lab, and return the run.

    Args:
        name: a scenario's name or file.
        seed: chooses which requests faults hit and what the load does.
        settings: settings of the shop, as ``{"gateway.retries": "off"}``; they win over the scenario's own.
        folder: where the run's own folder is made.
        lab_name: run on the lab of this name that is already up, instead of starting one.
        watcher: told what is going on.

    Raises:
        UsageError: no such scenario or setting, or the folder cannot be written.
        LabError: the lab could not start.
        LoadError: the load generator could not run.
    """
    experiment = load_scenario(find_scenario(name), seed=seed, settings=settings)
    command = f"cloudcart run {name} --seed {seed}" + "".join(f" --set {k}={v}" for k, v in (settings or {}).items())
    watcher(Progress("start", 0.0, 0.0))
    with ExitStack() as opened:
        if lab_name is None:
            lab = opened.enter_context(start(overrides=experiment.lab_settings))
        else:
            lab = attach(lab_name)
        return run(experiment, lab, folder=folder, command=command, watcher=watcher)


def _start(experiment: Experiment, lab: Lab, folder: Path, watcher: Watcher) -> LoadRun:
    if experiment.load is None:
        raise LoadError(f"{experiment.name} has no load, so there is nothing to measure; add a cloudcart_load marker")
    watcher(Progress("load", 0.0, experiment.load.duration))
    users = lab.prepare_users(experiment.load.users_needed)
    load = start_load(experiment.load, host=lab.urls["gateway"], users=users, folder=folder)
    try:
        load.wait_for_traffic(_TRAFFIC_DEADLINE)
    except BaseException:
        load.close()
        raise
    return load


class _Course:
    """The part of a run in which time passes: follows the schedule and notices when it must end early."""

    def __init__(self, experiment: Experiment, lab: Lab, load: LoadRun, watch: ScrapeLog, watcher: Watcher) -> None:
        self._experiment, self._lab, self._load, self._watch, self._watcher = experiment, lab, load, watch, watcher
        self._planned = experiment.phases(load.started)
        self._edges: dict[float, float] = {}
        self._active: dict[ScheduledFault, InjectedFault] = {}
        self.injected: list[InjectedFault] = []
        self.notes: list[str] = []

    def follow(self) -> None:
        """Do each step when it is due."""
        for step in timeline(self._experiment):
            if not self._wait(self._load.started + step.at):
                return
            if step.action == "edge":
                self._edge(step.at)
            elif step.fault is not None and step.action == "inject":
                fault = self._lab.inject_fault(self._experiment.seeded(step.fault.fault))
                self._active[step.fault] = fault
                self.injected.append(fault)
            elif step.fault is not None:
                self._active.pop(step.fault).heal()

    def wait_until_steady(self) -> Reading | None:
        """Return the time from the last heal until the shop was as good as before, waiting up to the deadline for it."""
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
        reached = [
            Window(self._edges[start], self._edges[end], phase.name)
            for phase, start, end in ((p, p.start - self._load.started, p.end - self._load.started) for p in self._planned)
            if start in self._edges and end in self._edges
        ]
        return reached

    def _edge(self, at: float) -> None:
        self._watch.mark()
        self._edges[at] = time.time()

    def _wait(self, until: float) -> bool:
        """Let time pass until ``until`` (unix seconds); False when the run must end early."""
        while (left := until - time.time()) > 0:
            if not self._load.running and left > _TICK:
                raise LoadError(f"the load generator ended {left:.1f}s early; see generator.log in the run's folder")
            self._watcher(self._progress())
            time.sleep(min(left, _TICK))
        return True

    def _progress(self) -> Progress:
        now = time.time()
        phase = next((p.name for p in self._planned if p.start <= now < p.end), "")
        labels = tuple(scheduled.fault.label for scheduled in self._active)
        return Progress(phase, now - self._load.started, self._planned[-1].end - self._load.started, self._load, labels)
