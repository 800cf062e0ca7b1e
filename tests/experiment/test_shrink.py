"""The search for the smallest fault that breaks something: against answers known beforehand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.exceptions import UsageError
from cloudcart.experiment import Experiment, ScheduledFault
from cloudcart.experiment.shrink import Trial, shrink, smaller
from cloudcart.faults import parse_fault
from cloudcart.load import LoadProfile
from cloudcart.signals import Verdict


def breaks_from(limit: float, below: Verdict = Verdict.PASS):
    return lambda factor: Trial(factor, Verdict.FAIL if factor >= limit else below)


@given(st.floats(0.011, 1.0), st.integers(1, 12), st.sampled_from([Verdict.PASS, Verdict.INCONCLUSIVE]))
def test_the_answer_is_enclosed_as_closely_as_promised(limit, steps, below):
    found = shrink(breaks_from(limit, below), least=0.01, steps=steps)
    assert len(found.trials) == steps + 1
    assert found.breaks.factor >= limit
    low = found.holds.factor if found.holds else 0.01
    assert low < limit
    assert found.breaks.factor / low <= (1 / 0.01) ** (0.5**steps) * 1.000001


def test_what_breaks_nothing_at_full_size_is_tried_once():
    found = shrink(breaks_from(2.0))
    assert (found.breaks, len(found.trials)) == (None, 1)


def test_what_always_breaks_is_shrunk_to_the_least():
    found = shrink(breaks_from(0.0), least=0.01, steps=10)
    assert found.holds is None
    assert found.breaks.factor == pytest.approx(0.01, rel=0.01)


def experiment(**document) -> Experiment:
    fault = parse_fault({"target": "products", **document})
    load = LoadProfile(journey="browse", rate=10, duration="20s")
    return Experiment(name="x", load=load, faults=(ScheduledFault(fault=fault, start=5, duration=8),))


def test_all_that_says_how_large_a_fault_is_becomes_smaller_together():
    before = experiment(kind="latency", median="80ms", p99="800ms", probability=0.5)
    after = smaller(before, 0.25).faults[0].fault
    assert (after.median, after.p99, after.probability) == (pytest.approx(0.02), pytest.approx(0.2), 0.5)
    assert after.identity != before.faults[0].fault.identity


def test_probability_and_duration_can_be_made_smaller_instead():
    before = experiment(kind="error", status=503, probability=0.5)
    assert smaller(before, 0.1, "probability").faults[0].fault.probability == pytest.approx(0.05)
    assert smaller(before, 0.5, "duration").faults[0].duration == 4


def test_a_fault_without_a_size_is_refused():
    with pytest.raises(UsageError, match="error has no size to make smaller"):
        smaller(experiment(kind="error", status=503), 0.5)
