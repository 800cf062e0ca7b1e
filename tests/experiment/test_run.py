"""One short experiment on a real shop: what it leaves, that it heals, and that sources of readings agree."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import jsonschema
import pytest
from pyarrow import parquet

import cloudcart
from cloudcart.exceptions import LoadError, UsageError
from cloudcart.experiment import Experiment, Run, ScheduledFault, run
from cloudcart.faults import parse_fault
from cloudcart.lab import Lab
from cloudcart.load import LoadProfile, start_load
from cloudcart.report import run_schema
from cloudcart.signals import Objective, PrometheusSource, RowsSource, ScrapeLog, Scraper, ScrapeSource, Verdict, Window

FAULT = {"kind": "error", "target": "products", "status": 500, "probability": 0.5}
LOAD = LoadProfile(journey="browse", rate=25, duration=9, warmup=1)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    settings = {"gateway.rate_limit": "off", "gateway.retries": "off", "gateway.cache": "off"}
    with cloudcart.start(overrides={**settings, "gateway.circuit_breaker": "off"}) as started:
        yield started


@pytest.fixture(scope="module")
def finished(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Run:
    experiment = Experiment(
        name="half_of_products_fail",
        claim="Nobody notices",
        load=LOAD,
        faults=(ScheduledFault(fault=parse_fault(FAULT), start=3, duration=3),),
        objectives=(Objective.parse("errors < 5%", phase="fault"), Objective.parse("errors < 20%", phase="recovery")),
        seed=5,
    )
    return run(experiment, lab, folder=tmp_path_factory.mktemp("runs"), command="pytest")


def test_the_verdict_follows_from_what_was_read(finished):
    assert finished.verdict is Verdict.FAIL
    broken, healed = finished.record["objectives"]
    assert (broken["verdict"], healed["verdict"]) == ("fail", "pass")
    assert 0.3 < broken["reading"] < 0.7
    assert "half_of_products_fail: FAIL: Nobody notices" in finished.explain()


def test_the_folder_holds_the_whole_story(finished):
    files = {path.name for path in finished.directory.iterdir()}
    assert files >= {"run.json", "requests.parquet", "signals.parquet", "events.parquet", "report.html"}
    record = json.loads((finished.directory / "run.json").read_text())
    jsonschema.validate(record, run_schema())
    assert [phase["name"] for phase in record["phases"]] == ["warmup", "steady", "fault", "recovery"]
    assert all(found["verdict"] == "pass" for found in record["invariants"])
    topics = set(parquet.read_table(finished.directory / "events.parquet").column("topic").to_pylist())
    assert {"chaos.injected", "chaos.cleared"} <= topics


def test_all_accounts_of_the_fault_agree(finished):
    (fault,) = finished.record["faults"]
    rows = parquet.read_table(finished.directory / "requests.parquet").to_pylist()
    events = parquet.read_table(finished.directory / "events.parquet").to_pylist()
    published = [json.loads(row["event"]) for row in events if row["topic"] == "chaos.injected"]
    marked = sum(fault["id"] in row["fault_ids"] for row in rows)
    cut_off = sum(row["status"] in (0, 502, 503, 504) for row in rows)  # on a busy machine a hit's answer may be lost
    assert marked <= fault["injected"] <= marked + cut_off
    assert fault["injected"] == sum(event["count"] for event in published)


def test_nothing_is_broken_afterwards(lab, finished):
    assert [fault["state"] for fault in lab.chaos.faults() if fault["id"] == finished.record["faults"][0]["id"]] == [
        "healed"
    ]
    assert lab.chaos.faults()[-1]["state"] != "active"


def test_a_fault_that_hits_nothing_makes_the_run_inconclusive(lab, tmp_path):
    """Every objective holds, and still nothing is concluded from it."""
    nobody = parse_fault({"kind": "error", "target": "products", "header": "x-nobody-sends=this"})
    finished = run(
        Experiment(
            name="nothing_is_broken",
            load=LoadProfile(journey="browse", rate=25, duration=4, warmup=1),
            faults=(ScheduledFault(fault=nobody, start=1.5, duration=2),),
            objectives=(Objective.parse("errors < 50%"),),
        ),
        lab,
        folder=tmp_path,
    )
    assert finished.verdict is Verdict.INCONCLUSIVE
    assert [found["verdict"] for found in finished.record["objectives"]] == ["pass"]
    assert any("hit no request" in note for note in finished.record["notes"])


def scraped_since(prometheus: str, moment: float) -> bool:
    """Return whether the server has read the gateway's metrics since then."""
    query = {"query": 'timestamp(up{service="gateway"} == 1)'}
    found = httpx.get(f"{prometheus}/api/v1/query", params=query, trust_env=False).json()["data"]["result"]
    return any(float(series["value"][1]) >= moment for series in found)


def test_client_scrapes_and_prometheus_agree_on_one_experiment(lab, tmp_path, wait_for, prometheus_program):
    """Within 5 %, over a window in the middle of steady load; the client's figures are the truth.

    Every third request fails, not a third of them by chance, and the others take 300 ms: Prometheus reads at its own
    moments, and in a window of a few seconds the share of a random fault, or the median of what a busy machine makes of
    a few milliseconds, would differ by more than that.
    """
    prometheus_program("prometheus")
    lab.reset()
    users = lab.prepare_users(10)
    profile = LoadProfile(journey="browse", rate=20, duration=60)
    with (
        Scraper(lab.service_urls) as scraper,
        ScrapeLog(scraper) as log,
        closing(PrometheusSource(lab.urls["prometheus"])) as prometheus,
        start_load(profile, host=lab.urls["gateway"], users=users, folder=tmp_path) as load,
        lab.inject("error", target="products", status=500, every=3, ttl="60s"),
        lab.inject("latency", target="products", fixed="300ms", ttl="60s"),
    ):
        load.wait("2s")
        wait_for(lambda: scraped_since(lab.urls["prometheus"], time.time() - 1), timeout=30)
        start = log.mark().time
        wait_for(lambda: scraped_since(lab.urls["prometheus"], start + 8), timeout=30)
        window = Window(start, log.mark().time)
        sources = {
            "client": RowsSource(load.stop()),
            "scrape": ScrapeSource(log.scrapes),
            "prometheus": prometheus,
        }
        readings = {
            signal: {name: source.read(signal, window, service="gateway") for name, source in sources.items()}
            for signal in ("traffic", "errors", "p50")
        }
    for signal, found in readings.items():
        values = {name: reading.value for name, reading in found.items()}
        assert values["scrape"] == pytest.approx(values["client"], rel=0.05), (signal, values)
        assert values["prometheus"] == pytest.approx(values["scrape"], rel=0.05), (signal, values)


def test_an_experiment_without_load_is_refused(lab, tmp_path):
    with pytest.raises(LoadError, match="nothing to measure"):
        run(Experiment(name="idle"), lab, folder=tmp_path)


def test_a_folder_that_cannot_be_written_is_named(lab, tmp_path):
    blocked: Path = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(UsageError, match="cannot be made"):
        run(Experiment(name="any", load=LOAD), lab, folder=blocked)
