"""Two runs beside each other: what was read, what became of it, what was done differently."""

from __future__ import annotations

import copy

import pytest

from cloudcart.report.comparison import compare
from cloudcart.signals import Reading, Window


def reading(signal, value, low, high, *, phase="fault", source="client", service="gateway", samples=1000):
    unit = {"errors": "ratio", "traffic": "1/s"}.get(signal, "s")
    window = Window(10.0, 20.0, phase)
    return Reading(signal, value, unit, samples, low, high, window, source, service).document()


@pytest.fixture
def run(recorded):
    made = recorded().run
    made["readings"] = [reading("p95", 0.1, 0.09, 0.11), reading("errors", 0.01, 0.005, 0.02)]
    return made


def test_a_run_compared_with_itself_is_the_same(run):
    found = compare([run], [run])
    assert [one.word for one in found.differences] == ["no difference shown"] * 2
    assert found.changes == ()
    assert all(before == after for _, before, after in found.verdicts)


def test_what_got_worse_is_said_with_its_interval(run):
    other = copy.deepcopy(run)
    other["readings"][0] = reading("p95", 0.2, 0.18, 0.22)
    one = compare([run], [other]).of("p95", "fault")
    assert (one.word, one.value) == ("worse", pytest.approx(0.1))
    assert 0.07 < one.low < one.high < 0.13


def test_what_was_done_differently_is_listed(run):
    other = copy.deepcopy(run)
    other["seed"] = 8
    other["versions"]["locust"] = "3.0"
    other["settings"]["gateway.retries"] = "off"
    del other["faults"][1]
    changes = {what: (before, after) for what, before, after in compare([run], [other]).changes}
    assert changes["seed"] == ("7", "8")
    assert changes["versions.locust"] == ("2.32.0", "3.0")
    assert changes["settings.gateway.retries"] == ("not recorded", "off")
    assert changes["fault 2.kind"] == ("error", "not recorded")


def test_verdicts_are_matched_by_what_they_are_about(run):
    other = copy.deepcopy(run)
    other["objectives"][0]["verdict"] = "fail"
    changed = [row for row in compare([run], [other]).verdicts if row[1] != row[2]]
    assert changed == [("p99 < 2s (POST /api/orders, gateway, fault)", "pass", "fail")]


def test_several_runs_are_compared_by_what_differs_from_run_to_run(run):
    def runs(*values):
        made = [copy.deepcopy(run) for _ in values]
        for one, value in zip(made, values, strict=True):
            one["readings"] = [reading("p95", value, value - 0.001, value + 0.001)]
        return made

    noisy = compare(runs(0.10, 0.14, 0.12), runs(0.13, 0.15, 0.11)).of("p95", "fault")
    clear = compare(runs(0.10, 0.11, 0.12), runs(0.20, 0.21, 0.22)).of("p95", "fault")
    assert (noisy.word, clear.word) == ("no difference shown", "worse")
    assert compare(runs(0.1, 0.1), runs(0.1)).runs == (2, 1)


def test_a_run_from_before_readings_were_kept_can_be_compared(run):
    del run["readings"]
    assert compare([run], [run]).differences == ()
