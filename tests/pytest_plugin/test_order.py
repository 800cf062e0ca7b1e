"""The order of a session's scenarios, and the line that says where its time went."""

from __future__ import annotations

import re

import pytest

from cloudcart.pytest_plugin.order import grouped
from cloudcart.pytest_plugin.timing import Stopwatch, time_spent

INTERLEAVED = """
import pytest

def with_retries(value):
    return pytest.mark.cloudcart_settings({"gateway.retries": value})

@with_retries("off")
def test_first(cloudcart_lab):
    assert cloudcart_lab.settings.gateway.retries is False

def test_plain():
    pass

@with_retries("on")
def test_second(cloudcart_lab):
    assert cloudcart_lab.settings.gateway.retries is True

def test_plain_too():
    pass

@with_retries("off")
def test_third(cloudcart_lab):
    assert cloudcart_lab.settings.gateway.retries is False

@with_retries("on")
@pytest.mark.cloudcart_fault("link_latency", target="products->postgres", latency="1ms")
@pytest.mark.cloudcart_load("browse", rate=1, duration=20)
def test_needs_links(cloudcart_lab):
    pass

@with_retries("on")
@pytest.mark.cloudcart_slo("nonsense")
def test_makes_no_sense(cloudcart_lab):
    pass
"""


def collected(result: pytest.RunResult) -> list[str]:
    return [line.rpartition("::test_")[2] for line in result.outlines if "::test_" in line]


def test_tests_of_one_lab_follow_each_other_and_the_others_stay_where_they_are(run_pytest):
    order = collected(run_pytest(INTERLEAVED, "--collect-only", "-q"))
    assert order == ["first", "plain", "third", "plain_too", "second", "needs_links", "makes_no_sense"]


def test_a_lab_that_is_up_already_is_no_reason_to_change_the_order(run_pytest):
    order = collected(run_pytest(INTERLEAVED, "--collect-only", "-q", "--cloudcart-reuse=some"))
    assert order == ["first", "plain", "second", "plain_too", "third", "needs_links", "makes_no_sense"]


def test_each_lab_is_started_once_and_the_summary_says_how_long_that_took(run_pytest):
    result = run_pytest(INTERLEAVED, "-k", "first or second or third")
    result.assert_outcomes(passed=3, deselected=4)
    [line] = [line for line in result.outlines if line.startswith("time: ")]
    assert re.fullmatch(r"time: 2 labs started in \d+\.\d s", line)


@pytest.mark.parametrize(
    ("items", "order"),
    [
        (["a1", "b1", "a2"], ["a1", "a2", "b1"]),
        (["b1", "-", "a1", "b2"], ["b1", "-", "b2", "a1"]),
        ([], []),
        (["-"], ["-"]),
    ],
)
def test_groups_come_in_the_order_of_their_first(items, order):
    assert grouped(items, lambda item: item != "-", lambda item: item[0]) == order


def test_what_is_beside_load_is_said_per_scenario():
    findings = [
        {"lab_seconds": 3.0},
        {"run_seconds": 12.0, "load_seconds": 11.0},
        {"reset_seconds": 0.25},
        {"run_seconds": 21.0, "load_seconds": 20.0},
        {"reset_seconds": 0.25},
        {"kept": "a lab"},
    ]
    [line] = time_spent(findings)
    assert line == (
        "time: 1 lab started in 3.0 s; 2 scenarios: 31.0 s of load and recovery, 1.25 s beside it per scenario"
    )
    assert list(time_spent([{"kept": "a lab"}])) == []


def test_a_stopwatch_adds_up_also_what_fails():
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError), watch.running():
        _ = 1 / 0
    first = watch.seconds
    with watch.running():
        pass
    assert watch.seconds >= first >= 0
