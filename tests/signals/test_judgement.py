"""Three-valued verdicts: whole interval good, whole interval bad, or no verdict."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.signals import Objective, Reading, Verdict, Window, judge
from cloudcart.signals.statistics import clopper_pearson

WINDOW = Window(1000.0, 1020.0, "fault")


def reading(signal, value, low, high, samples=800, note=""):
    unit = Objective.parse(f"{signal} < 1{'s' if signal.startswith('p') or signal == 'recovery' else ''}").unit
    return Reading(signal, value, unit, samples, low, high, WINDOW, "client", "gateway", None, note)


@pytest.mark.parametrize(
    ("text", "low", "high", "verdict"),
    [
        ("p99 < 2s", 1.0, 1.9, "pass"),
        ("p99 < 2s", 1.0, 2.0, "pass"),  # a bucket that ends at the bound
        ("p99 < 2s", 1.9, 2.1, "inconclusive"),
        ("p99 < 2s", 2.0, 2.3, "fail"),  # a bucket that begins at the bound
        ("p99 < 2s", 2.1, None, "fail"),
        ("p99 < 2s", 1.9, None, "inconclusive"),
        ("p99 < 2s", None, 1.9, "pass"),
        ("p99 > 2s", 2.1, None, "pass"),
        ("p99 > 2s", 1.0, 1.9, "fail"),
        ("p99 >= 2s", 1.9, 2.1, "inconclusive"),
    ],
)
def test_an_interval_passes_or_fails_as_a_whole(text, low, high, verdict):
    assert judge(Objective.parse(text), reading("p99", 1.95, low, high)).verdict is Verdict(verdict)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("lag < 100", "fail"), ("lag <= 100", "pass"), ("lag > 100", "fail"), ("lag >= 100", "pass")],
)
def test_an_exact_value_is_compared_as_the_operator_says(text, verdict):
    exact = Reading("lag", 100.0, "count", 20, 100.0, 100.0, WINDOW, "scrape")
    assert judge(Objective.parse(text), exact).verdict is Verdict(verdict)


def test_no_data_is_inconclusive_with_the_sources_note():
    nothing = reading("p99", None, None, None, samples=0, note="no request was due in this window")
    found = judge(Objective.parse("p99 < 2s"), nothing)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == "no data (no request was due in this window)"


def test_too_few_samples_for_the_percentile_are_inconclusive():
    found = judge(Objective.parse("p99 < 2s"), reading("p99", 0.4, 0.3, None, samples=100))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "too few samples for p99: 100, and it takes 299" in found.reason


def test_too_close_says_how_many_samples_it_takes():
    low, high = clopper_pearson(0, 320)
    found = judge(Objective.parse("errors < 1%"), reading("errors", 0.0, low, high, samples=320))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "too close to call with 320 samples: 0 %, 95 % interval 0 % to 1.15 %" in found.reason
    assert "needs about 390" in found.reason  # 368, found in steps of a tenth and rounded up


def test_a_quantile_needs_more_samples_the_closer_it_is():
    found = judge(Objective.parse("p95 < 2s"), reading("p95", 1.9, 1.6, 2.2, samples=400))
    assert found.reason.endswith("needs about 3,600")


def test_a_value_on_the_bound_asks_for_no_number_of_samples():
    found = judge(Objective.parse("p95 < 2s"), reading("p95", 2.0, 1.6, 2.2))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "needs" not in found.reason


def test_not_recovered_fails_once_watched_for_longer_than_the_bound():
    watched = reading("recovery", None, 7.0, None)
    assert judge(Objective.parse("recovery < 3s"), watched).verdict is Verdict.FAIL
    unsure = judge(Objective.parse("recovery < 9s"), watched)
    assert unsure.verdict is Verdict.INCONCLUSIVE
    assert "at least 7 s; it was not watched for longer" in unsure.reason


def test_a_judgement_is_an_entry_of_run_json():
    objective = Objective.parse("p99 < 2s", route="/api/orders", phase="fault")
    document = judge(objective, reading("p99", 0.4, 0.3, 0.5)).document()
    assert json.loads(json.dumps(document)) == document
    assert document["verdict"] == "pass"
    assert document["error_bound"] == pytest.approx(0.1)
    assert document["phase"] == "fault"
    assert document["reason"] == "400 ms, 95 % interval 300 ms to 500 ms, 800 samples"


def test_a_line_has_verdict_objective_and_reason():
    line = judge(Objective.parse("errors < 1%"), reading("errors", 0.0, 0.0, 0.004)).line()
    assert line == "PASS         errors < 1%: 0 %, 95 % interval 0 % to 0.4 %, 800 samples"


bounds = st.none() | st.floats(0, 10)


@given(st.sampled_from(["<", "<=", ">", ">="]), bounds, bounds, st.floats(0, 1), st.floats(0.1, 9))
def test_a_verdict_is_never_on_the_wrong_side_of_its_interval(operator, low, high, inside, bound):
    if low is not None and high is not None and low > high:
        low, high = high, low
    value = None if low is None and high is None else (low or 0.0) + inside * ((high or 10.0) - (low or 0.0))
    objective = Objective.parse(f"p99 {operator} {bound:.3f}s")
    verdict = judge(objective, reading("p99", value, low, high)).verdict
    if low is not None and high is not None and low < objective.bound < high:
        assert verdict is Verdict.INCONCLUSIVE
    if verdict is Verdict.PASS:
        assert all(objective.met_by(end) for end in (low, high) if end not in (None, objective.bound))
    if verdict is Verdict.FAIL:
        assert not any(objective.met_by(end) for end in (low, high) if end not in (None, objective.bound))
