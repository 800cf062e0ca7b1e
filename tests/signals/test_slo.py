"""Budgets and burn rates against the figures of the SRE workbook."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.exceptions import UsageError
from cloudcart.signals import BURN_ALERTS, Slo

DAY = 86_400.0


def test_the_workbooks_pairs_have_the_workbooks_burn_rates():
    assert [alert.burn_rate(30 * DAY) for alert in BURN_ALERTS] == pytest.approx([14.4, 6.0, 1.0])
    assert [(alert.long, alert.short) for alert in BURN_ALERTS] == [(3600, 300), (21_600, 1800), (259_200, 21_600)]
    assert [alert.severity for alert in BURN_ALERTS] == ["page", "page", "ticket"]


def test_a_burn_rate_of_one_uses_the_budget_in_just_the_period():
    slo = Slo(0.999)
    assert slo.burn_rate(0.001) == pytest.approx(1.0)
    assert slo.seconds_left(0.001) == pytest.approx(30 * DAY)
    assert slo.seconds_left(0.01) == pytest.approx(3 * DAY)
    assert slo.seconds_left(0.01, spent=0.5) == pytest.approx(1.5 * DAY)
    assert slo.seconds_left(0.0) == float("inf")


def test_budget_spent_is_errors_over_errors_allowed():
    assert Slo(0.99).budget_spent(errors=5, requests=1000) == pytest.approx(0.5)
    assert Slo(0.99).budget_spent(errors=20, requests=1000) == pytest.approx(2.0)
    assert Slo(0.99).budget_spent(errors=0, requests=0) == 0.0


def test_a_time_scale_shrinks_windows_and_keeps_burn_rates():
    slo = Slo(0.999, time_scale=720)  # a month in an hour
    assert [alert.long for alert in slo.alerts()] == pytest.approx([5, 30, 360])
    rates = [alert.burn_rate(slo.period / slo.time_scale) for alert in slo.alerts()]
    assert rates == pytest.approx([14.4, 6.0, 1.0])
    assert slo.seconds_left(0.001) == pytest.approx(3600)


def test_an_alert_needs_both_windows():
    slo = Slo(0.999)
    assert [alert.long for alert in slo.firing(lambda _: 0.02)] == [3600, 21_600, 259_200]
    ended = slo.firing(lambda seconds: 0.02 if seconds >= 3600 else 0.0)  # no errors for the last half hour
    assert [alert.severity for alert in ended] == ["ticket"]
    assert slo.firing(lambda seconds: None) == ()
    assert [alert.severity for alert in slo.firing(lambda _: 0.002)] == ["ticket"]


@given(st.floats(0.5, 0.9999), st.floats(0, 1))
def test_whoever_burns_more_fires_no_less(target, ratio):
    slo = Slo(target)
    assert set(slo.firing(lambda _: ratio)) <= set(slo.firing(lambda _: min(1.0, ratio * 1.5)))


@pytest.mark.parametrize(
    "values", [{"target": 1.0}, {"target": 0.0}, {"target": 0.9, "period": 0}, {"target": 0.9, "time_scale": 0}]
)
def test_an_slo_without_a_budget_or_time_is_refused(values):
    with pytest.raises(UsageError):
        Slo(**values)
