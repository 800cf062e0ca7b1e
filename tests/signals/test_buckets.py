"""Quantiles from buckets: within their stated bound of the truth, and close to it."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.signals.buckets import Buckets
from cloudcart.signals.statistics import quantile
from cloudcart.telemetry.metrics import Durations, bucket_edges


def observed(latencies):
    durations = Durations()
    for latency in latencies:
        durations.observe(latency)
    return Buckets.of(({"le": edge}, count) for edge, count in durations.buckets())


@given(st.lists(st.floats(1e-4, 60), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_quantile_lies_in_the_bucket_that_is_stated(latencies, share):
    buckets = observed(latencies)
    truth = quantile(sorted(latencies), share)
    low, high = buckets.bounds(max(1, math.ceil(round(share * len(latencies), 9))))
    assert low < truth <= (math.inf if high is None else high)
    assert low <= buckets.quantile(share) <= (buckets.edges[-1] if high is None else high)


@pytest.mark.parametrize(("median", "p99"), [(0.002, 0.02), (0.08, 0.9), (1.5, 12.0)])
def test_quantiles_of_a_known_distribution_are_within_two_percent(median, p99):
    sigma = math.log(p99 / median) / NormalDist().inv_cdf(0.99)
    count = 5000
    buckets = observed(median * math.exp(sigma * NormalDist().inv_cdf((i + 0.5) / count)) for i in range(count))
    for share in (0.5, 0.95, 0.99):
        truth = median * math.exp(sigma * NormalDist().inv_cdf(share))
        low, high = buckets.interval(share)
        assert low <= truth <= high
        assert buckets.quantile(share) == pytest.approx(truth, rel=0.02)


def test_the_interval_holds_sampling_and_buckets():
    buckets = Buckets((1.0, 2.0, 3.0), (10.0, 80.0, 10.0, 0.0))
    assert buckets.quantile(0.5) == pytest.approx(1.5)
    assert buckets.interval(0.5) == (1.0, 2.0)
    assert buckets.interval(0.95)[1] is not None
    assert buckets.interval(0.99)[1] is None  # a hundred samples do not bound p99


def test_beyond_the_last_edge_there_is_no_upper_bound():
    buckets = Buckets((1.0,), (0.0, 10.0))
    assert buckets.quantile(0.5) == 1.0
    assert buckets.bounds(5) == (1.0, None)


def test_series_of_several_routes_add_up():
    series = [({"le": "0.1", "route": "/a"}, 3.0), ({"le": "+Inf", "route": "/a"}, 4.0)]
    buckets = Buckets.of([*series, *series])
    assert buckets == Buckets((0.1,), (6.0, 2.0))
    assert buckets.count == 8


def test_no_series_and_no_observations_have_no_quantile():
    assert Buckets.of([]).quantile(0.5) is None
    assert Buckets.of([]).count == 0
    assert Buckets((1.0,), (0.0, 0.0)).quantile(0.5) is None


@given(st.lists(st.floats(1e-3, 29), min_size=2, max_size=100))
def test_the_variance_is_not_underestimated(latencies):
    mean = sum(latencies) / len(latencies)
    truth = sum((x - mean) ** 2 for x in latencies) / (len(latencies) - 1)
    assert observed(latencies).variance(mean) >= truth * (1 - 1e-9)


def test_bounds_that_people_choose_are_edges():
    assert {0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0} <= set(bucket_edges())
