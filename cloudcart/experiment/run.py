"""One execution of an experiment: :func:`run` brings lab, load, faults, signals and record together, in ten steps.

The only place that knows all five. It decides nothing by itself: what is claimed is in the experiment, what is true is
in the readings, what they mean is ``signals.judge``. Called by the pytest plugin and the command line.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cloudcart.analysis import Run
from cloudcart.exceptions import LoadError, UsageError
from cloudcart.experiment.course import Course, Progress, Watcher, unwatched
from cloudcart.experiment.experiment import Experiment
from cloudcart.experiment.judgement import Evidence, judge_run
from cloudcart.experiment.record import Record, require_writable
from cloudcart.experiment.scenario import find_scenario, load_scenario
from cloudcart.lab import Lab, attach, start
from cloudcart.load import Generators, LoadRun, start_load
from cloudcart.report import write_report
from cloudcart.signals import ScrapeLog, Scraper, signals_table

_TRAFFIC_DEADLINE: Final = 15.0
"""Seconds within which the first request must be answered."""


def run(
    experiment: Experiment,
    lab: Lab,
    *,
    folder: Path,
    command: str = "",
    watcher: Watcher = unwatched,
    fail_fast: bool = False,
    generators: Generators | None = None,
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
        fail_fast: end as soon as an objective cannot hold any more, whatever came.
        generators: kept from run to run, so that the next one's is prepared while this one is judged.

    Raises:
        UsageError: the folder cannot be written.
        LabError: the lab is gone.
        LoadError: the load generator could not run.
    """
    began = time.monotonic()
    record = Record(folder, experiment, lab, command)  # 1
    with ExitStack() as opened:
        pool = generators or opened.enter_context(Generators())
        pool.prepare()  # it imports Locust while the lab is reset
        lab.reset()  # 2
        events = opened.enter_context(lab.tap_events())
        notes = lab.unsteady()  # 3
        scraper = opened.enter_context(Scraper(lab.service_urls))
        watch = opened.enter_context(ScrapeLog(scraper))
        load = opened.enter_context(_start(experiment, lab, record.directory, watcher, pool))  # 4
        opened.callback(lab.heal)
        course = Course(experiment, lab, load, watch, watcher, fail_fast=fail_fast)
        try:
            course.follow()  # 5
        finally:
            lab.heal()  # 6
        recovery = course.wait_until_steady()  # 7
        watcher(Progress("judge", 0.0, 0.0))
        requests = load.stop()  # 8
        if generators is not None:  # there may be a next run; its generator gets ready while this one is judged
            generators.prepare()
        watch.mark()
        scrapes = watch.scrapes
        record.save_table(signals_table(scrapes), "signals.parquet")
        invariants = lab.check_invariants(events)  # waits until every event is handled
        record.save_events(events.published())
        evidence = Evidence(  # 9
            experiment=experiment,
            phases=course.phases(),
            requests=requests,
            scrapes=scrapes,
            faults=course.injected,
            recovery=recovery,
            load_doubts=_load_doubts(load),
            invariants=invariants,
            prometheus=lab.urls.get("prometheus", ""),
            names=lab.metric_names,
            aborted=course.aborted,
            notes=notes,
        )
        record.save(**judge_run(evidence), generator=load.summary(), seconds=round(time.monotonic() - began, 3))
        write_report(record.fields, record.directory)
    return Run(record.fields)  # 10


def run_scenario(
    name: str,
    *,
    seed: int | None = None,
    settings: Mapping[str, str] | None = None,
    folder: Path,
    lab_name: str | None = None,
    backend: str = "embedded",
    watcher: Watcher = unwatched,
) -> Run:
    """Start a lab of its own, run a shipped or given scenario on it, end the lab, and return the run.

    Args:
        name: a scenario's name or file, or an experiment's document.
        seed: chooses which requests faults hit and what the load does; None: the document's, or 0.
        settings: settings of the shop, as ``{"gateway.retries": "off"}``; they win over the scenario's own.
        folder: where the run's own folder is made.
        lab_name: run on the lab of this name that is already up, instead of starting one.
        backend: where the fresh lab runs.
        watcher: told what is going on.

    Raises:
        UsageError: no such scenario or setting, or the folder cannot be written.
        LabError: the lab could not start.
        LoadError: the load generator could not run.
    """
    experiment = load_scenario(find_scenario(name), seed=seed, settings=settings)
    command = f"cloudcart run {name} --seed {experiment.seed}" + "".join(
        f" --set {k}={v}" for k, v in (settings or {}).items()
    )
    require_writable(folder)  # before seconds are spent on a start
    watcher(Progress("start", 0.0, 0.0))
    with ExitStack() as opened:
        if lab_name is None:
            lab = opened.enter_context(start(backend, overrides=experiment.lab_settings))
        else:
            lab = attach(lab_name)
            require_settings(lab, experiment)
        lab.require(item.fault for item in experiment.faults)
        return run(experiment, lab, folder=folder, command=command, watcher=watcher)


def require_settings(lab: Lab, experiment: Experiment) -> None:
    """Refuse a lab that somebody started with other settings than the experiment is about.

    Raises:
        UsageError: the message says how to start one that fits.
    """
    for name, value in experiment.settings.items():
        if lab.settings.with_overrides({name: value}) != lab.settings:
            again = f"cloudcart up --name {lab.name} --set {name}={value}"
            raise UsageError(
                f"{experiment.name} needs {name}={value}, lab {lab.name!r} has not; start it with: {again}"
            )


def _load_doubts(load: LoadRun) -> list[str]:
    saturated = [f"the load generator was the bottleneck: {load.saturated}"] if load.saturated else []
    return saturated + load.doubts


def _start(experiment: Experiment, lab: Lab, folder: Path, watcher: Watcher, generators: Generators) -> LoadRun:
    if experiment.load is None:
        raise LoadError(f"{experiment.name} has no load, so there is nothing to measure; add a cloudcart_load marker")
    watcher(Progress("load", 0.0, experiment.load.duration))
    users = lab.prepare_users(experiment.load.users_needed)
    load = start_load(
        experiment.load,
        host=lab.urls["gateway"],
        users=users,
        admin_token=lab.token("admin"),
        folder=folder,
        generators=generators,
    )
    try:
        load.wait_for_traffic(_TRAFFIC_DEADLINE)
    except BaseException:
        load.close()
        raise
    return load
