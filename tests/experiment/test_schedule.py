"""A schedule is in time order, heals all that it injects, and reads signals at every edge of a phase."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloudcart.experiment import Experiment, ScheduledFault
from cloudcart.experiment.schedule import timeline
from cloudcart.faults import parse_fault
from cloudcart.load import LoadProfile

WARMUP, DURATION = 2.0, 60.0
FAULT = parse_fault({"kind": "latency", "target": "products", "fixed": "10ms"})

starts = st.floats(min_value=WARMUP, max_value=40).map(lambda value: round(value, 2))
lengths = st.floats(min_value=0.1, max_value=19).map(lambda value: round(value, 2))
scheduled = st.builds(ScheduledFault, fault=st.just(FAULT), start=starts, duration=lengths)


def experiment(faults) -> Experiment:
    load = LoadProfile(journey="browse", rate=1, duration=DURATION, warmup=WARMUP)
    return Experiment(name="any", load=load, faults=tuple(faults))


@given(st.lists(scheduled, max_size=6))
def test_steps_are_in_order_and_every_fault_is_healed(faults):
    steps = timeline(experiment(faults))
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    for fault in faults:
        times = {step.action: step.at for step in steps if step.fault is fault}
        assert times == {"inject": fault.start, "heal": fault.end}


@given(st.lists(scheduled, max_size=6))
def test_signals_are_read_at_every_edge_before_anything_changes(faults):
    plan = experiment(faults)
    steps = timeline(plan)
    edges = {step.at for step in steps if step.action == "edge"}
    assert edges == {edge for phase in plan.phases(0.0) for edge in (phase.start, phase.end)}
    for index, step in enumerate(steps):
        if step.action == "edge":
            assert all(earlier.at < step.at or earlier.action == "edge" for earlier in steps[:index])


@given(st.lists(scheduled, min_size=1, max_size=6), st.floats(min_value=1e9, max_value=2e9))
def test_phases_follow_each_other_without_a_gap(faults, started):
    phases = experiment(faults).phases(started)
    assert [phase.name for phase in phases] == ["warmup", "steady", "fault", "recovery"]
    assert all(before.end == after.start for before, after in pairwise(phases))
    assert (phases[0].start, phases[-1].end) == (started, started + DURATION)
