"""A run in sentences."""

from __future__ import annotations

import pytest

from cloudcart.report.series import Figures, gather
from cloudcart.report.words import accounts, counts, facts, open_points, story, when

NOTHING = Figures(0.0, 10.0, [], [], {})


def fault(drawn, injected, probability=1.0, **document):
    return {
        "id": "f",
        "kind": "error",
        "target": "products",
        "label": "503 on products",
        "drawn": drawn,
        "injected": injected,
        "probability": probability,
        "window": [2.0, 5.0],
        "document": document,
    }


@pytest.mark.parametrize(
    ("entry", "expected", "fits"),
    [
        (fault(400, 400), "400 (all of them)", True),
        (fault(400, 399), "400 (all of them)", False),
        (fault(1000, 310, 0.3), "300 (between 253 and 348)", True),
        (fault(1000, 400, 0.3), "300 (between 253 and 348)", False),
        (fault(0, 0), "no request came by", False),
        (fault(400, 20, first=20), "limited by first=20", None),
        (fault(400, 20, every=20, ramp="5s"), "limited by every=20, ramp=5s", None),
    ],
)
def test_faults_are_accounted_for_with_what_chance_allows(entry, expected, fits):
    account = accounts({"faults": [entry]}, NOTHING)[0]
    assert (account.expected, account.fits) == (expected, fits)


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (
            {"journey": "checkout", "rate": 40.0, "duration": "20s", "warmup": "3s"},
            "For 20s, 40 visits a second arrived",
        ),
        ({"journey": "browse", "users": 8, "duration": 20.0}, "For 20 s, 8 users went through the journey 'browse'"),
        ({"journey": "browse", "stages": [["5s", 10]], "duration": "5s"}, "at a rate that changed in stages"),
    ],
)
def test_load_is_told_as_it_was(load, said):
    first = story({"load": load}, NOTHING)[0]
    assert said in first
    assert ("warm-up" in first) is ("warmup" in load)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "was not seen"), (0.0, "As soon as the last fault was healed"), (1.2, "1.2 s after the last heal")],
)
def test_recovery_is_told(seconds, said):
    assert said in story({"faults": [fault(1, 1)], "recovery_seconds": seconds}, NOTHING)[-1]


def test_counts_name_what_there_was():
    held = {"verdict": "pass"}
    assert (
        counts({"objectives": [held, {"verdict": "fail"}], "invariants": [held]})
        == "1 of 2 objectives and 1 of 1 invariant held"
    )
    assert counts({}) == "nothing was checked"


def test_failures_come_before_doubts():
    entries = [
        {"objective": "a", "verdict": "inconclusive", "reason": "no data"},
        {"objective": "b", "verdict": "pass", "reason": "fine"},
        {"objective": "c", "verdict": "fail", "reason": "bad", "phase": "fault", "route": "/x"},
    ]
    assert open_points({"objectives": entries}) == ["c (/x, fault phase): bad", "a: no data"]


def test_the_generators_account_is_told():
    told = dict(
        facts({"generator": {"saturated": None, "lateness_p99": 0.002, "cpu_share": 0.3, "load": "checkout, 40/s"}})
    )
    assert told["Load generator"] == "was not the bottleneck, visits began up to 2 ms late (p99), used 30 % of a core"
    assert told["Load"] == "checkout, 40/s"


def test_times_are_for_people():
    assert when("2025-10-09T08:53:20.000Z") == "9 October 2025, 08:53 UTC"
    assert when("some day") == "some day"


def test_figures_are_cut_into_slices_and_phases(recorded):
    run = recorded()
    figures = gather(run.run, run.folder)
    assert figures.end == pytest.approx(26.0)
    assert len(figures.slices) == 52
    assert sum(part.requests for part in figures.slices) == 26 * 160
    assert [phase.name for phase in figures.phases] == ["warm-up", "steady", "fault", "recovery"]
    assert set(figures.saturation) == {"cpu", "memory", "loop_lag", "pool", "lag", "outbox", "dead_letters"}
    assert "p99" not in figures.saturation, "a signal of a single route is not one of the service"
    assert set(figures.saturation["cpu"]) == {"gateway", "users", "products", "orders", "chaos", "notifications"}


def test_the_story_says_what_was_switched_off_and_how_often_a_fault_strikes():
    run = {"settings": {"gateway.retries": "off"}, "faults": [{**fault(100, 5), "probability": 0.05}]}
    told = story(run, NOTHING)
    assert "The shop ran with gateway.retries=off." in told
    assert "(with a probability of 5 %)" in told[1]
