"""Differences against published values, and their coverage against simulation."""

from __future__ import annotations

import random
from statistics import fmean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.signals import Reading, Window, difference
from cloudcart.signals.statistics import clopper_pearson, mean_interval

WINDOW = Window(0.0, 10.0, "fault")


def reading(value, low, high, *, signal="p95", unit="s", samples=100):
    return Reading(signal, value, unit, samples, low, high, WINDOW, "client", "gateway")


def test_the_interval_of_two_shares_is_newcombes_with_the_limits_that_it_is_given():
    """Newcombe 1998, table II, example (a): 56/70 and 48/80, Wilson limits, method 10: 0.0524 to 0.3339."""
    first = reading(48 / 80, 0.4905, 0.7004, signal="errors", unit="ratio", samples=80)
    second = reading(56 / 70, 0.69183, 0.87695, signal="errors", unit="ratio", samples=70)
    found = difference(first, second)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=3e-4)
    assert (found.shown, found.worse, found.word) == (True, True, "worse")


def test_what_is_unbounded_stays_unbounded():
    found = difference(reading(0.1, 0.09, None), reading(0.2, 0.15, 0.3))
    assert found.low is None
    assert found.high is not None
    assert found.word == "no difference shown"


def test_no_data_is_no_difference():
    found = difference(reading(None, None, None), reading(0.2, 0.15, 0.3))
    assert (found.value, found.word, found.relative) == (None, "no data", None)


def test_less_traffic_is_worse_and_less_latency_is_better():
    slower = difference(reading(40.0, 40.0, 40.0, signal="traffic"), reading(30.0, 30.0, 30.0, signal="traffic"))
    faster = difference(reading(0.2, 0.19, 0.21), reading(0.1, 0.09, 0.11))
    assert (slower.word, faster.word) == ("worse", "better")


def test_exact_counts_differ_beyond_the_tolerance_only():
    found = difference(reading(40.0, 40.0, 40.0, signal="traffic"), reading(39.0, 39.0, 39.0, signal="traffic"))
    assert found.word == "no difference shown"


@given(
    st.tuples(*[st.floats(0.001, 10)] * 3).map(sorted),
    st.tuples(*[st.floats(0.001, 10)] * 3).map(sorted),
)
def test_the_other_way_round_is_the_same_with_the_other_sign(first, second):
    a, b = reading(first[1], first[0], first[2]), reading(second[1], second[0], second[2])
    there, back = difference(a, b), difference(b, a)
    assert there.value == pytest.approx(-back.value)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.low <= there.value <= there.high


def test_means_and_shares_are_covered_as_often_as_promised():
    chance = random.Random(1)
    covered = {"mean": 0, "errors": 0}
    for _ in range(300):
        samples = [[chance.expovariate(1 / scale) for _ in range(60)] for scale in (1.0, 1.3)]
        means = [reading(fmean(s), *mean_interval(fmean(s), variance(s), 60), signal="mean") for s in samples]
        hits = [sum(chance.random() < share for _ in range(200)) for share in (0.05, 0.10)]
        shares = [reading(k / 200, *clopper_pearson(k, 200), signal="errors", unit="ratio") for k in hits]
        for name, pair, truth in (("mean", means, 0.3), ("errors", shares, 0.05)):
            found = difference(*pair)
            covered[name] += found.low <= truth <= found.high
    assert covered["mean"] >= 270  # 95 % of 300 is 285; exponential means have a heavy side
    assert covered["errors"] >= 279


def test_a_reading_survives_its_document():
    before = reading(0.2, 0.1, None)
    assert Reading.of_document(before.document()) == before
