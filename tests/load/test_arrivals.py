"""Arrivals come at the rate asked for, always the same for the same seed."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.load import LoadProfile
from cloudcart.load.arrivals import arrival_times


def times(**profile) -> list[float]:
    return list(arrival_times(LoadProfile(journey="browse", **profile)))


def test_constant_arrivals_are_evenly_spaced():
    moments = times(rate=40, duration="20s")
    assert len(moments) == 800
    assert moments[0] == 0
    assert moments[-1] < 20
    assert [b - a for a, b in pairwise(moments)] == pytest.approx([0.025] * 799)


def test_poisson_arrivals_have_exponential_gaps():
    moments = times(rate=50, duration="200s", arrivals="poisson", seed=7)
    gaps = [b - a for a, b in pairwise(moments)]
    assert len(moments) == pytest.approx(10_000, abs=6 * math.sqrt(10_000))
    assert mean(gaps) == pytest.approx(1 / 50, rel=0.05)
    assert stdev(gaps) == pytest.approx(1 / 50, rel=0.08)  # an exponential distribution's equals its mean


def test_the_seed_decides():
    same = {"rate": 50, "duration": "5s", "arrivals": "poisson"}
    assert times(**same, seed=1) == times(**same, seed=1) != times(**same, seed=2)


def test_stages_follow_each_other():
    moments = times(stages=[("2s", 10), ("1s", 0), ("1s", 100)])
    assert sum(moment < 2 for moment in moments) == 20
    assert not [moment for moment in moments if 2 <= moment < 3]
    assert sum(moment >= 3 for moment in moments) == 100


def test_the_closed_model_has_no_arrivals():
    assert times(users=3) == []


stages = st.lists(st.tuples(st.floats(0.1, 20), st.floats(0, 60)), min_size=1, max_size=5)


@given(stages, st.sampled_from(["constant", "poisson"]), st.integers(0, 9))
def test_arrivals_are_in_order_and_as_many_as_expected(course, kind, seed):
    expected = sum(duration * rate for duration, rate in course)
    if expected < 1:
        return
    moments = times(stages=course, arrivals=kind, seed=seed)
    assert moments == sorted(moments)
    assert all(0 <= moment <= sum(duration for duration, _ in course) * (1 + 1e-12) for moment in moments)
    allowed = 1 if kind == "constant" else 6 * math.sqrt(expected) + 6
    assert abs(len(moments) - expected) <= allowed
