"""Guard rails and steady states as markers, in real runs; which source a guard rail reads, and what none can read."""

from __future__ import annotations

import time

import pytest

from cloudcart.exceptions import UsageError
from cloudcart.experiment import Experiment, experiment_from_markers, run
from cloudcart.experiment.guard import GuardRails
from cloudcart.load import LoadProfile
from cloudcart.signals import MetricNames, Objective, Scrape, Verdict
from cloudcart.signals.exposition import parse_exposition
from cloudcart.signals.scrape import Page

FAULT_SECONDS = 25.0
NOW = 1_760_000_000.0


def broken(kind: str, journey: str, *marks: pytest.MarkDecorator, **fault: object) -> Experiment:
    """Return an experiment whose fault would act for far longer than it takes a guard rail to fire."""
    load = pytest.mark.cloudcart_load(journey, rate=20, duration=FAULT_SECONDS + 5, warmup=1)
    injected = pytest.mark.cloudcart_fault(kind, start=3, duration=FAULT_SECONDS, **fault)
    return experiment_from_markers("guarded", "", [mark.mark for mark in (load, injected, *marks)])


def test_a_broken_guard_rail_heals_at_once_and_ends_the_run(lab, tmp_path):
    guard, slo = pytest.mark.cloudcart_abort_if("errors < 30%"), pytest.mark.cloudcart_slo("errors < 5%", phase="fault")
    finished = run(broken("error", "browse", guard, slo, target="products", status=500), lab, folder=tmp_path)
    assert_ended_early(finished, "guard rail errors < 30%")
    assert finished.record["objectives"][0]["verdict"] == "fail", "what the phase came to is judged, too"
    assert finished.record["recovery_seconds"] is not None
    assert lab.chaos.faults()[-1]["state"] == "healed"


def test_a_guard_rail_on_a_service_reads_its_own_metric(lab, tmp_path):
    guard = pytest.mark.cloudcart_abort_if("lag < 5", service="notifications")
    slo = pytest.mark.cloudcart_slo("errors < 50%")
    finished = run(broken("latency", "checkout", guard, slo, target="notifications", fixed="1s"), lab, folder=tmp_path)
    aborted = assert_ended_early(finished, "guard rail lag < 5")
    assert (aborted["source"], aborted["service"]) == ("scrape", "notifications")
    assert aborted["reading"] >= 5


def assert_ended_early(finished, name: str) -> dict:
    (fault,) = finished.record["faults"]
    assert fault["window"][1] - fault["window"][0] < FAULT_SECONDS - 5, "it was healed when its time was up, not before"
    assert [phase["name"] for phase in finished.record["phases"]] == ["warmup", "steady", "fault"]
    assert finished.verdict is Verdict.FAIL, finished.explain()
    aborted = finished.record["objectives"][-1]
    assert (aborted["name"], aborted["verdict"]) == (name, "fail")
    return aborted


@pytest.mark.parametrize(("wanted", "verdict"), [("p50 < 10s", Verdict.PASS), ("p50 > 10s", Verdict.INCONCLUSIVE)])
def test_nothing_is_concluded_of_a_shop_that_was_not_steady(lab, tmp_path, wanted, verdict):
    marks = [
        pytest.mark.cloudcart_load("browse", rate=20, duration=6, warmup=1),
        pytest.mark.cloudcart_fault("latency", target="products", fixed="5ms", start=3, duration=2),
        pytest.mark.cloudcart_slo("errors < 90%"),
        pytest.mark.cloudcart_steady(wanted, phase="steady"),
    ]
    finished = run(experiment_from_markers("steady", "", [mark.mark for mark in marks]), lab, folder=tmp_path)
    unsteady = [note for note in finished.record["notes"] if note.startswith("the shop was not steady before")]
    assert bool(unsteady) is (verdict is Verdict.INCONCLUSIVE)
    assert finished.verdict in (verdict, Verdict.INCONCLUSIVE)  # the latter also on a machine that is too busy to tell


def failing_gateway() -> dict:
    """Rows of clients who all see errors."""
    due = [NOW - 5 + number / 20 for number in range(100)]
    count = len(due)
    return {"due": due, "sent": due, "done": due, "name": ["GET /api/orders"] * count, "status": [500] * count}


def healthy_orders() -> list[Scrape]:
    """Scrapes of an order service without any error."""
    pages = []
    for second in range(6):
        moment = NOW - 5 + second
        text = f'http_requests_total{{method="GET",route="/orders",status="200"}} {second * 20}\n'
        pages.append(Scrape(moment, {"orders": Page(moment, parse_exposition(text.encode()))}))
    return pages


def guards(text: str, **scope: str) -> GuardRails:
    return GuardRails([Objective.parse(text, **scope)], failing_gateway, healthy_orders, MetricNames())


def test_errors_of_a_service_are_not_the_gateways():
    assert guards("errors < 5%").broken(NOW) is not None
    assert guards("errors < 5%", service="orders").broken(NOW) is None
    assert guards("errors > 20%", service="orders").broken(NOW).reading.source == "scrape"


def test_burn_rates_can_be_guarded():
    assert guards("burn < 10", slo="99%").broken(NOW).reading.value == pytest.approx(100)


def test_a_scrape_of_long_ago_says_nothing_of_now():
    """As of a service that is paused: what it said before is no reason to stop."""
    assert guards("errors > 20%", service="orders").broken(NOW + 60) is None


def test_without_guard_rails_nothing_is_read():
    def unread():
        raise AssertionError

    assert GuardRails([], unread, unread, MetricNames()).broken(time.time()) is None


@pytest.mark.parametrize(
    ("text", "scope", "why"),
    [
        ("recovery < 3s", {}, "is known only after the last heal; write it as an objective"),
        ("alert < 3s", {"slo": "99%"}, "is counted from the first fault"),
        ("lag_end < 3", {"service": "orders"}, "'lag' can be watched meanwhile"),
        ("memory_growth < 3MB", {"service": "orders"}, "is what a whole phase adds"),
        ("errors < 1%", {"source": "prometheus"}, "a Prometheus server looks too seldom"),
        ("errors < 1%", {"phase": "recovery"}, "it is watched while faults act, not in the recovery phase"),
    ],
)
def test_what_cannot_be_read_during_a_run_is_refused_at_definition(text, scope, why):
    with pytest.raises(UsageError, match=f"^x: {text} cannot be a guard rail .abort_if.: .*{why}"):
        Experiment(
            name="x",
            load=LoadProfile(journey="browse", rate=5, duration=5),
            abort_if=(Objective.parse(text, **scope),),
        )
