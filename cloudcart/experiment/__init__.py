"""Experiments: a definition that claims something, and runs that say whether it is so.

``experiment.py`` and ``schedule.py`` are values, ``run.py`` executes, ``judgement.py`` concludes, ``record.py`` writes,
``scenario.py`` reads pytest functions into experiments.
"""

from __future__ import annotations

from cloudcart.analysis import Run
from cloudcart.experiment.course import Progress
from cloudcart.experiment.experiment import Experiment, ScheduledFault
from cloudcart.experiment.run import run, run_scenario
from cloudcart.experiment.scenario import experiment_from_markers, find_scenario, list_scenarios, load_scenario

__all__ = [
    "Experiment",
    "Progress",
    "Run",
    "ScheduledFault",
    "experiment_from_markers",
    "find_scenario",
    "list_scenarios",
    "load_scenario",
    "run",
    "run_scenario",
]
