"""The noise floor and the comparison of several runs: against known values and against simulation."""

from __future__ import annotations

import math
import random

import pytest

from cloudcart.signals import difference_of_runs, noise_floor


def test_the_floor_is_the_repeatability_limit():
    """Five runs with a standard deviation of 1: t(4) is 2.7764."""
    values = [9.0, 9.5, 10.0, 10.5, 11.0]
    found = noise_floor(values)
    assert found.mean == 10.0
    assert found.floor == pytest.approx(2.7764451 * math.sqrt(2) * found.spread, rel=1e-6)
    assert found.relative == pytest.approx(found.floor / 10)
    assert noise_floor([1.0]) is None


def test_welch_gives_the_textbook_interval():
    """Two sets of screws: Welch's t is 1.959 with 7.03 degrees of freedom; t(7) at 97.5 % is 2.3646."""
    first, second = [30.02, 29.99, 30.11, 29.97, 30.01, 29.99], [29.89, 29.93, 29.72, 29.98, 30.02, 29.98]
    value, low, high = difference_of_runs(second, first)
    reach = 2.3646243 * 0.095 / 1.959
    assert (value, low, high) == pytest.approx((0.095, 0.095 - reach, 0.095 + reach), abs=1e-4)


def test_one_run_against_several_is_judged_by_their_spread():
    value, low, high = difference_of_runs([10.0, 11.0, 12.0], [20.0])
    reach = 4.3026527 * 1.0 * math.sqrt(4 / 3)
    assert (value, low, high) == pytest.approx((9.0, 9.0 - reach, 9.0 + reach))


def test_single_runs_tell_nothing_of_what_differs_between_runs():
    assert difference_of_runs([1.0], [2.0]) is None
    assert difference_of_runs([], [2.0, 3.0]) is None


def test_runs_without_any_spread_differ_exactly():
    assert difference_of_runs([1.0, 1.0], [2.0, 2.0]) == (1.0, 1.0, 1.0)


def test_two_of_the_same_are_rarely_called_different():
    chance = random.Random(5)
    alarms = floors = 0
    for _ in range(400):
        runs = [chance.gauss(10, 1) for _ in range(6)]
        _, low, high = difference_of_runs(runs[:3], runs[3:])
        alarms += not low <= 0 <= high
        floors += abs(chance.gauss(10, 1) - chance.gauss(10, 1)) > noise_floor(runs).floor
    assert alarms <= 32  # 5 % of 400 is 20, and chance adds three standard deviations
    assert floors <= 32
