"""``cloudcart demo``: what it tells belongs to what it runs. The run itself is that of ``cloudcart run``."""

from __future__ import annotations

import shlex

import pytest

from cloudcart.cli import demo
from cloudcart.cli.machine import look_at_extras
from cloudcart.cli.program import program
from cloudcart.cli.run_progress import PHASES
from cloudcart.experiment import find_scenario, load_scenario
from cloudcart.settings import describe_settings

COMMANDS = [line.strip().split("   ")[0] for line in demo.NEXT.splitlines() if line.strip().startswith("cloudcart ")]


def test_every_phase_is_explained():
    assert demo.TOUR.keys() == PHASES.keys()


def test_it_breaks_what_it_says():
    experiment = load_scenario(find_scenario(demo.SCENARIO))
    assert {scheduled.fault.kind for scheduled in experiment.faults} == {"error", "latency"}
    assert {str(scheduled.fault.target) for scheduled in experiment.faults} == {"products"}
    assert {scheduled.fault.probability for scheduled in experiment.faults} == {0.05}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_to_try_next_can_be_typed(command):
    name, *arguments = shlex.split(command)[1:]
    context = program.commands[name].make_context(name, arguments)
    known = {setting.name for setting in describe_settings()}
    assert set(context.params.get("overrides", {})) <= known


def test_there_is_something_to_try_next():
    assert len(COMMANDS) >= 4


def test_it_needs_no_more_extras_than_a_run_does():
    assert set(demo.NEEDED) < {extra.name for extra in look_at_extras()}
    assert "analysis" not in demo.NEEDED
