"""The schedule of an experiment as a list of steps in time order: pure data, followed by ``run.py``."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from cloudcart.experiment.experiment import Experiment, ScheduledFault

Action = Literal["edge", "heal", "inject"]

_ORDER: Final[dict[Action, int]] = {"edge": 0, "heal": 1, "inject": 2}
"""At the same moment signals are read first, so that a phase's readings end where its faults do."""


class Step(NamedTuple):
    """Something to do ``at`` seconds after the start of load."""

    at: float
    action: Action
    fault: ScheduledFault | None = None


def timeline(experiment: Experiment) -> list[Step]:
    """Return every step: a phase edge wherever a phase begins or ends, and each fault's injection and heal."""
    edges = {edge for phase in experiment.phases(0.0) for edge in (phase.start, phase.end)}
    steps = [Step(at, "edge") for at in edges]
    for scheduled in experiment.faults:
        steps += [Step(scheduled.start, "inject", scheduled), Step(scheduled.end, "heal", scheduled)]
    return sorted(steps, key=lambda step: (step.at, _ORDER[step.action]))
