"""The intervals against published and independently computed values, and against simulation."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.signals.statistics import (
    binomial_cdf,
    binomial_interval,
    clopper_pearson,
    mean_interval,
    quantile,
    quantile_ranks,
    regularized_beta,
    samples_needed,
    student_t,
)

# R 4.3: binom.test(hits, samples)$conf.int
CLOPPER_PEARSON = [
    (0, 10, 0.0, 0.3084971),
    (5, 10, 0.1870860, 0.8129140),
    (7, 20, 0.1539092, 0.5921885),
    (10, 10, 0.6915029, 1.0),
    (3, 1000, 0.0006190999, 0.0087420),
]


@pytest.mark.parametrize(("hits", "samples", "low", "high"), CLOPPER_PEARSON)
def test_clopper_pearson_gives_the_published_intervals(hits, samples, low, high):
    assert clopper_pearson(hits, samples) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(("hits", "samples"), [(-1, 10), (11, 10), (0, 0)])
def test_a_share_that_cannot_be_is_refused(hits, samples):
    with pytest.raises(ValueError, match="is not a share"):
        clopper_pearson(hits, samples)


@pytest.mark.parametrize(("degrees", "t"), [(1, 12.7062047), (5, 2.5705818), (30, 2.0422725), (1000, 1.9623390)])
def test_student_t_gives_the_table(degrees, t):
    assert student_t(degrees) == pytest.approx(t, rel=1e-6)


def test_the_incomplete_beta_function_is_exact_where_it_has_a_closed_form():
    assert regularized_beta(1, 3, 0.2) == pytest.approx(1 - 0.8**3)
    assert regularized_beta(2, 1, 0.3) == pytest.approx(0.09)
    assert regularized_beta(0.5, 0.5, 0.5) == pytest.approx(0.5)
    assert (regularized_beta(2, 3, 0.0), regularized_beta(2, 3, 1.0)) == (0.0, 1.0)


@given(st.integers(1, 400), st.floats(0.01, 0.99))
def test_binomial_probabilities_rise_to_one(samples, share):
    steps = [binomial_cdf(k, samples, share) for k in range(-1, samples + 1)]
    assert steps[0] == 0.0
    assert steps[-1] == 1.0
    assert all(b >= a - 1e-12 for a, b in pairwise(steps))


def test_binomial_interval_gives_the_published_limits():
    assert binomial_interval(100, 0.3) == (21, 39)  # R: qbinom(c(.025, .975), 100, .3)
    assert binomial_interval(10, 0.0) == (0, 0)
    assert binomial_interval(10, 1.0) == (10, 10)


def test_ranks_of_the_median_are_those_of_the_table():
    assert quantile_ranks(100, 0.5) == (40, 61)  # Conover, Practical Nonparametric Statistics, 3.2
    assert quantile_ranks(6, 0.5) == (1, 6)


def test_p99_is_bounded_from_299_samples_on():
    assert samples_needed(0.99) == 299
    assert quantile_ranks(298, 0.99)[1] is None
    assert quantile_ranks(299, 0.99)[1] == 299


def test_p99_of_100_samples_runs_from_p97_up():
    assert quantile_ranks(100, 0.99) == (97, None)


def test_no_samples_bound_nothing():
    assert quantile_ranks(0, 0.5) == (None, None)
    assert quantile_ranks(1, 0.5) == (None, None)


@given(st.integers(1, 3000), st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 0.999]))
def test_ranks_cover_the_quantile_with_the_stated_probability(samples, share):
    low, high = quantile_ranks(samples, share)
    below = binomial_cdf(low - 1, samples, share) if low else 0.0
    above = 1 - binomial_cdf(high - 1, samples, share) if high else 0.0
    assert below + above <= 0.05 + 1e-9
    assert low is None or high is None or low <= high


@pytest.mark.parametrize(("samples", "share"), [(320, 0.99), (500, 0.5), (60, 0.95)])
def test_quantile_intervals_cover_the_truth_in_simulation(samples, share):
    chance = random.Random(7)
    low, high = quantile_ranks(samples, share)
    covered = 0
    for _ in range(400):
        drawn = sorted(chance.random() for _ in range(samples))
        covered += (low is None or drawn[low - 1] <= share) and (high is None or share <= drawn[high - 1])
    assert covered / 400 > 0.92  # 0.95, less three standard errors of 400 trials


def test_share_intervals_cover_the_truth_in_simulation():
    chance = random.Random(7)
    intervals = [clopper_pearson(sum(chance.random() < 0.03 for _ in range(300)), 300) for _ in range(400)]
    assert sum(low <= 0.03 <= high for low, high in intervals) / 400 > 0.92


def test_mean_interval_covers_the_truth_in_simulation():
    chance = random.Random(7)
    covered = 0
    for _ in range(400):
        drawn = [chance.gauss(5, 2) for _ in range(20)]
        mean = sum(drawn) / 20
        low, high = mean_interval(mean, sum((x - mean) ** 2 for x in drawn) / 19, 20)
        covered += low <= 5 <= high
    assert covered / 400 > 0.92


def test_one_sample_has_no_interval_of_its_mean():
    assert mean_interval(1.0, 0.0, 1) is None


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_quantile_is_a_sample_that_its_share_does_not_exceed(samples, share):
    ordered = sorted(samples)
    value = quantile(ordered, share)
    assert value in ordered
    assert sum(x <= value for x in ordered) >= share * len(ordered) - 1e-6
    assert sum(x < value for x in ordered) < share * len(ordered) + 1e-6
