"""Failing fast: an objective is lost when nothing that may still come can save it, and not before."""

from __future__ import annotations

import pytest

from cloudcart.experiment.fail_fast import FailFast
from cloudcart.signals import Objective, Window

RATE = 20
PHASE = Window(0.0, 10.0, "fault")


def rows(seconds: float, *, bad: float = 0.0, latency: float = 0.01, name: str = "GET /api/products") -> dict:
    """Requests at an even rate so far, of which a share failed."""
    due = [number / RATE for number in range(int(seconds * RATE))]
    return {
        "due": due,
        "sent": due,
        "done": [moment + latency for moment in due],
        "name": [name] * len(due),
        "status": [500 if number % 100 < 100 * bad else 200 for number in range(len(due))],
    }


def lost(text: str, seen: dict, **scope: str):
    return FailFast([Objective.parse(text, **scope)], lambda: seen).lost({"fault": PHASE, None: PHASE})


def test_errors_that_good_requests_can_still_dilute_are_waited_for():
    assert lost("errors < 10%", rows(1, bad=1.0)) is None, "a tenth of the phase"
    found = lost("errors < 10%", rows(3, bad=1.0))
    assert found.objective.name == "fail fast errors < 10%"
    assert found.reason.startswith("cannot hold any more, whatever comes: so far 100 %")


def test_percentiles_are_lost_when_too_many_were_slow():
    assert lost("p50 < 1s", rows(4, latency=3)) is None
    assert lost("p50 < 1s", rows(7, latency=3)) is not None
    assert lost("p50 > 1s", rows(4)) is None
    assert lost("p50 > 1s", rows(7)) is not None


def test_too_much_traffic_is_lost_and_too_little_only_at_the_end():
    assert lost("traffic < 5/s", rows(2)) is None
    assert lost("traffic < 5/s", rows(3)) is not None
    assert lost("traffic > 30/s", rows(9)) is not None, "at the present pace it never gets there"
    assert lost("traffic > 15/s", rows(2)) is None


@pytest.mark.parametrize("seconds", [1, 5, 9])
def test_what_holds_is_never_lost(seconds):
    for text in ("errors < 10%", "p95 < 1s", "mean < 1s", "traffic > 10/s", "throttled < 1%"):
        assert lost(text, rows(seconds, bad=0.02)) is None, text


def test_only_a_phase_that_has_begun_and_a_route_that_was_asked_for_count():
    objective = Objective.parse("errors < 10%", route="POST /api/orders", phase="fault")
    watched = FailFast([objective], lambda: rows(8, bad=1.0))
    assert watched.lost({"fault": PHASE}) is None, "nobody has asked for it yet"
    assert watched.lost({"steady": PHASE}) is None
    orders = rows(8, bad=1.0, name="POST /api/orders")
    assert FailFast([objective], lambda: orders).lost({"fault": PHASE}) is not None
    assert FailFast([objective], lambda: orders).lost({"steady": PHASE}) is None


def test_services_metrics_wait_for_the_end():
    assert lost("errors < 1%", rows(8, bad=1.0), service="orders") is None
    assert lost("lag < 1", rows(8, bad=1.0)) is None
