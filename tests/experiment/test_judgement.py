"""From evidence to the fields of run.json, without a shop: what is inconclusive and why, who agrees with whom."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from cloudcart.experiment import Experiment
from cloudcart.experiment.agreement import agreement
from cloudcart.experiment.judgement import Evidence, _disagreements, judge_run
from cloudcart.experiment.readings import WHOLE, Readings, overview
from cloudcart.lab import InvariantResult
from cloudcart.load import LoadProfile
from cloudcart.load.report import GeneratorReport
from cloudcart.signals import Objective, Reading, RowsSource, Window

START = 1_760_000_000.0
PHASES = (
    Window(START, START + 2, "warmup"),
    Window(START + 2, START + 10, "steady"),
    Window(START + 10, START + 20, "fault"),
    Window(START + 20, START + 30, "recovery"),
)


def columns(*, errors_in_fault: float = 0.0, latency: float = 0.02) -> dict:
    due = [START + number / 50 for number in range(1500)]
    bad = [
        START + 10 <= moment < START + 20 and number % 100 < 100 * errors_in_fault for number, moment in enumerate(due)
    ]
    return {
        "due": due,
        "sent": due,
        "done": [moment + latency for moment in due],
        "name": ["GET /api/products"] * len(due),
        "status": [503 if failed else 200 for failed in bad],
        "fault_ids": [""] * len(due),
        "key": [f"browse/{number}/1" for number in range(len(due))],
    }


class Gateway:
    """A source that says what it is told to."""

    name = "scrape"

    def __init__(self, *, behind: dict[str, float] | None = None, **values: float) -> None:
        self.values, self.behind = values, values if behind is None else behind

    def read(self, signal, window, *, service=None, route=None):
        value = (self.values if service in (None, "gateway") else self.behind).get(signal)
        unit = {"errors": "ratio", "traffic": "1/s"}.get(signal, "s")
        return Reading(signal, value, unit, 1000, value, value, window, self.name, service, route)


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "requests.parquet"
    parquet.write_table(pyarrow.table(columns()), path)
    return path


def evidence(requests: Path, *, objectives=("p95 < 500ms",), scope=None, doubts=(), **options) -> Evidence:
    profile = LoadProfile(journey="browse", rate=50, duration=30, warmup=2)
    parsed = tuple(Objective.parse(text, **(scope or {})) for text in objectives)
    return Evidence(
        experiment=Experiment(name="x", load=profile, objectives=parsed, **options),
        phases=PHASES,
        requests=requests,
        scrapes=(),
        faults=(),
        recovery=None,
        load_doubts=doubts,
        invariants=[InvariantResult("stock adds up", "pass", "it does")],
    )


def test_a_generator_that_was_the_bottleneck_makes_it_inconclusive_with_the_reason(requests):
    report = GeneratorReport(arrivals=100, waited=50, visitors=10)
    found = judge_run(evidence(requests, doubts=[f"the load generator was the bottleneck: {report.saturated}"]))
    assert found["verdict"] == "inconclusive"
    assert found["notes"][0].startswith(
        "the load generator was the bottleneck: 50 of 100 arrivals found all 10 visitors"
    )
    assert found["objectives"][0]["verdict"] == "pass"  # what was read is still shown


def test_the_readings_of_every_phase_are_kept(requests):
    found = judge_run(evidence(requests))
    of_clients = {(it["signal"], it["window"]["name"]) for it in found["readings"] if it["source"] == "client"}
    assert {
        (signal, phase) for signal in ("p50", "p95", "p99", "errors", "traffic") for phase in (WHOLE, "fault")
    } <= of_clients
    assert not any(phase == "warmup" for _, phase in of_clients)
    assert found["arms"] is None


def test_an_error_budget_is_judged_by_burn_rate_and_by_when_a_page_comes(tmp_path):
    path = tmp_path / "requests.parquet"
    parquet.write_table(pyarrow.table(columns(errors_in_fault=0.2)), path)
    texts, scope = ("burn < 5", "alert < 5s"), {"slo": "99%"}
    found = judge_run(evidence(path, objectives=texts, scope=scope, time_scale=360.0))
    burn, alert = found["objectives"]
    assert burn["verdict"] == "fail"
    assert burn["reading"] == pytest.approx(100 * 0.2 * 10 / 28, rel=0.02)
    assert (alert["verdict"], alert["slo"]) == ("pass", 0.99)
    [budget] = found["budgets"]  # both objectives are about the same one
    assert (budget["requests"], budget["errors"]) == (1400, 100)
    assert budget["spent"] == pytest.approx(100 / (1400 * 0.01))
    assert budget["burn"] == pytest.approx({"steady": 0, "fault": 20, "recovery": 0})
    assert budget["seconds_left"] == pytest.approx(30 * 86_400 / 360 / budget["spent"])


def test_without_an_slo_or_without_data_there_is_no_budget(requests):
    assert judge_run(evidence(requests))["budgets"] == []
    scope = {"slo": "99%", "service": "orders"}
    assert judge_run(evidence(requests, objectives=("burn < 5",), scope=scope))["budgets"] == []


def test_requests_under_way_at_the_end_are_no_disagreement():
    """As where a run ends while faults act: clients have counted what waits for its answer, the gateway has not."""
    slow = {**columns(), "done": [moment + (3.0 if moment > START + 26 else 0.02) for moment in columns()["due"]]}
    found = Readings(PHASES, {"client": RowsSource(slow), "scrape": Gateway(traffic=50 * 25.5 / 28, errors=0.0)})
    assert found.across(found.whole()) == pytest.approx(150 / 1400, rel=0.02)
    assert _disagreements(found) == []
    fast = Readings(PHASES, {"client": RowsSource(columns()), "scrape": Gateway(traffic=50 * 25.5 / 28, errors=0.0)})
    assert len(_disagreements(fast)) == 1


def readings(gateway: Gateway, **of_clients) -> Readings:
    return Readings(PHASES, {"client": RowsSource(columns(**of_clients)), "scrape": gateway})


def test_clients_may_wait_longer_than_the_gateway_knows_but_never_shorter():
    objective = Objective.parse("p95 < 1s", route="/api/products")
    [longer] = agreement(readings(Gateway(p95=0.005)), [objective])
    [shorter] = agreement(readings(Gateway(p95=0.100)), [objective])
    assert longer["agrees"]
    assert set(longer["readings"]) == {"clients", "gateway", "products"}
    assert not shorter["agrees"]
    assert shorter["detail"] == "clients and gateway disagree on p95 of /api/products: 20 ms and 100 ms"


def test_errors_must_be_the_same_for_both():
    objective = Objective.parse("errors < 1%", phase="fault")
    source = Gateway(errors=0.0)
    assert agreement(readings(source), [objective])[0]["agrees"]
    assert not agreement(readings(source, errors_in_fault=0.5), [objective])[0]["agrees"]


@pytest.mark.parametrize(
    ("text", "gateway", "products", "detail"),
    [
        ("p95 < 1s", {"p95": 0.015}, {"p95": 0.005}, ""),
        (
            "p95 < 1s",
            {"p95": 0.015},
            {"p95": 0.2},
            "gateway and products disagree on p95 of /api/products: 15 ms and 200 ms",
        ),
        ("errors < 1%", {"errors": 0.0}, {"errors": 0.5}, "gateway and products disagree on errors of *: 0 % and 50 %"),
        ("errors < 1%", {"errors": 0.0}, {}, ""),
    ],
)
def test_the_service_behind_the_route_is_held_against_the_gateway(text, gateway, products, detail):
    same = {"traffic": 50.0}
    source = Gateway(**gateway, **same, behind={**products, **same})
    [entry] = agreement(readings(source), [Objective.parse(text, route="/api/products")])
    assert fnmatch(entry["detail"], detail)
    assert entry["agrees"] is (detail == "")
    assert entry["readings"]["products"] == next(iter(products.values()), None)


def test_figures_of_other_requests_are_not_held_against_each_other():
    """As with a cache: the service answers what is not in it, which is slower, and nobody contradicts anybody."""
    source = Gateway(p95=0.015, traffic=50.0, behind={"p95": 0.2, "traffic": 10.0})
    [entry] = agreement(readings(source), [Objective.parse("p95 < 1s", route="/api/products")])
    assert entry["agrees"]
    assert entry["detail"] == "products answered 10/s of the gateway's 50/s (cache, retries or breaker between them)"


def test_an_objective_on_the_service_itself_is_compared_too():
    objectives = [
        Objective.parse("p95 < 1s", service="products", route="/api/products"),
        Objective.parse("p95 < 1s", service="orders", route="/api/products"),
        Objective.parse("p95 < 1s", service="products"),
    ]
    [entry] = agreement(readings(Gateway(p95=0.015)), objectives)
    assert set(entry["readings"]) == {"clients", "gateway", "products"}


def test_a_signal_is_compared_once_and_only_where_it_is_of_requests():
    objectives = [Objective.parse(text) for text in ("p95 < 1s", "p95 < 2s", "lag < 5", "recovery < 3s")]
    assert len(agreement(readings(Gateway(p95=0.02)), objectives)) == 1


def test_the_overview_leaves_out_what_nobody_knows():
    found = overview(readings(Gateway(cpu=0.5)), ["orders"])
    assert {reading.signal for reading in found if reading.source == "scrape"} == {"cpu"}
