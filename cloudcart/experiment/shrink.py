"""The smallest fault that breaks an objective: the same scenario again and again, with its faults made smaller.

The search (:func:`shrink`) is pure; :func:`smaller` makes an experiment's faults smaller; :func:`shrink_scenario` runs
one on one lab. Called by ``cloudcart shrink``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from cloudcart.analysis import Run
from cloudcart.exceptions import UsageError
from cloudcart.experiment.experiment import Experiment, ScheduledFault
from cloudcart.experiment.run import require_settings, run
from cloudcart.experiment.scenario import find_scenario, load_scenario
from cloudcart.faults import Fault, parse_fault
from cloudcart.lab import attach, start
from cloudcart.signals import Verdict

By = Literal["size", "probability", "duration"]

_SIZES: Final = ("fixed", "min", "max", "median", "p99", "delay", "after", "latency", "jitter", "block", "by", "down")
"""Fields that say how large a fault is; those that a fault gives are made smaller together."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run with faults of ``factor`` times their declared size."""

    factor: float
    verdict: Verdict
    faults: tuple[str, ...] = ()
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What a search found: the smallest that broke something, and the largest that was not seen to."""

    breaks: Trial | None
    holds: Trial | None
    trials: tuple[Trial, ...]


def shrink(attempt: Callable[[float], Trial], *, least: float = 0.01, steps: int = 6) -> Shrunk:
    """Search by halving on a logarithmic scale between ``least`` and 1; the full size comes first.

    Only a fail counts as broken. An inconclusive run is taken as one that was not seen to break, so the answer errs on
    the large side. After n steps the two trials that enclose the answer are a factor of ``least ** -(0.5 ** n)`` apart.

    Args:
        attempt: runs the scenario with faults of a size from ``least`` to 1.
        least: the smallest size of interest.
        steps: runs after the first.
    """
    trials = [attempt(1.0)]
    breaks, holds, low = trials[0], None, least
    if breaks.verdict is not Verdict.FAIL:
        return Shrunk(None, breaks, tuple(trials))
    for _ in range(steps):
        trial = attempt(math.sqrt(low * breaks.factor))
        trials.append(trial)
        if trial.verdict is Verdict.FAIL:
            breaks = trial
        else:
            holds, low = trial, trial.factor
    return Shrunk(breaks, holds, tuple(trials))


def smaller(experiment: Experiment, factor: float, by: By = "size") -> Experiment:
    """Return the experiment with every fault made smaller by ``factor``.

    Raises:
        UsageError: a fault has no size, as ``error``; its probability or duration can be made smaller instead.
    """
    faults = tuple(_smaller(scheduled, factor, by) for scheduled in experiment.faults)
    return experiment.model_copy(update={"faults": faults})


def _smaller(scheduled: ScheduledFault, factor: float, by: By) -> ScheduledFault:
    if by == "duration":
        return scheduled.model_copy(update={"duration": scheduled.duration * factor})
    fault = scheduled.fault
    names = ("probability",) if by == "probability" else _sizes(fault)
    changed = {name: getattr(fault, name) * factor for name in names}
    return scheduled.model_copy(update={"fault": parse_fault({**fault.document(), **changed})})


def _sizes(fault: Fault) -> list[str]:
    given: list[str] = [
        name for name in _SIZES if name in fault.model_fields_set and isinstance(getattr(fault, name), float)
    ]
    if not given:
        raise UsageError(f"{fault.kind} has no size to make smaller; shrink its probability or duration instead")
    return given


def shrink_scenario(
    name: str,
    *,
    by: By = "size",
    least: float = 0.01,
    steps: int = 6,
    seed: int = 0,
    settings: Mapping[str, str] | None = None,
    folder: Path,
    lab_name: str | None = None,
    told: Callable[[Trial], None] = lambda _trial: None,
) -> Shrunk:
    """Run a scenario with ever smaller faults, on one lab that is reset between runs.

    Args:
        name: a scenario's name or file.
        by: what is made smaller.
        least: the smallest size of interest, as a share of the declared one.
        steps: runs after the first.
        seed: of every run, so that the same requests are hit.
        settings: settings of the shop.
        folder: where run folders are made.
        lab_name: a lab that is up, instead of one of its own.
        told: hears of each trial when it is done.

    Raises:
        UsageError: no such scenario, or one without faults that could be made smaller.
        LabError: the lab could not start.
        LoadError: the load generator could not run.
    """
    experiment = load_scenario(find_scenario(name), seed=seed, settings=settings)
    if not experiment.faults:
        raise UsageError(f"{experiment.name} has no fault that could be made smaller")
    smaller(experiment, least, by)  # refuses before anything is started
    with ExitStack() as opened:
        lab = attach(lab_name) if lab_name else opened.enter_context(start(overrides=experiment.lab_settings))
        require_settings(lab, experiment)

        def attempt(factor: float) -> Trial:
            tried = smaller(experiment, factor, by)
            finished = run(tried, lab, folder=folder, command=f"cloudcart shrink {name} --by {by} --seed {seed}")
            trial = _trial(factor, tried, finished)
            told(trial)
            return trial

        return shrink(attempt, least=least, steps=steps)


def _trial(factor: float, experiment: Experiment, finished: Run) -> Trial:
    said = tuple(_said(scheduled) for scheduled in experiment.faults)
    return Trial(factor, finished.verdict, said, str(finished.directory))


def _said(scheduled: ScheduledFault) -> str:
    """Return a fault as somebody would type it, with figures of three digits."""
    document: dict[str, Any] = scheduled.fault.document()
    words = [f"{name}={value}" for name, value in document.items() if name not in ("kind", "target", "ttl", "seed")]
    return " ".join([document["kind"], "on", document["target"], *words, f"for {scheduled.duration:.3g} s"])
