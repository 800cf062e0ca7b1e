"""Experiments of Chaos Toolkit, in its documented format: what maps becomes ours, and every activity has its line."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from cloudcart.cli.program import program
from cloudcart.documents import read_document
from cloudcart.exceptions import UsageError
from cloudcart.experiment import experiment_schema, read_experiment
from cloudcart.experiment.chaostoolkit import import_chaostoolkit

SAMPLES = Path(__file__).parent / "chaostoolkit"


def lines(imported):
    return {line.name: (line.outcome, line.text) for line in imported.lines}


def schedule(imported):
    return [(item.fault.kind, str(item.fault.target), item.start, item.end) for item in imported.experiment.faults]


def test_toxics_become_faults_of_links():
    imported = import_chaostoolkit(SAMPLES / "toxiproxy.json")
    assert schedule(imported) == [
        ("link_latency", "products->postgres", 6.0, 10.0),
        ("link_reset", "users->redis", 10.0, 15.0),
    ]
    slow, lossy = (item.fault for item in imported.experiment.faults)
    assert (slow.latency, slow.jitter, slow.stream) == (pytest.approx(0.08), pytest.approx(0.02), "downstream")
    assert (lossy.after_bytes, lossy.probability, lossy.per, lossy.stream) == (1000, 0.5, "connection", "upstream")


def test_a_hypothesis_becomes_objectives_before_and_after():
    experiment = import_chaostoolkit(SAMPLES / "toxiproxy.json").experiment
    assert experiment.claim == "The catalogue answers"
    expected = [
        ("errors < 1%", "/api/products"),
        ("p99 < 2s", "/api/products"),
        ("errors < 1%", "/api/products/{id}"),
    ]
    for objectives, phase in ((experiment.steady, "steady"), (experiment.objectives, "recovery")):
        assert [(one.text, one.route, one.phase) for one in objectives] == [(*each, phase) for each in expected]


def test_every_activity_of_toxiproxy_has_its_line():
    found = lines(import_chaostoolkit(SAMPLES / "toxiproxy.json"))
    assert found["create-the-proxy"] == ("not needed", "a lab leads its links through a proxy by itself")
    assert found["slow-database"][0] == "mapped"
    assert found["database-fast-again"] == ("mapped", "ends +80ms on products->postgres")
    assert found["wait-a-little"] == ("mapped", "3 seconds pass")
    assert found["close-slowly"][0] == "not mapped"
    assert "'cloudcart proxy'" in found["close-slowly"][1]
    assert found["who-is-this"] == (
        "not mapped",
        "it is not clear which link 'mysterious' is; write -m 'mysterious=products->postgres'",
    )
    assert found["first-product-is-a-mug"][0] == "not mapped"
    assert found["enable-again"][0] == "not needed"
    assert len(found) == 3 + 7 + 1, "the probe that refers to another has its name"


def test_names_can_be_given():
    names = {"mysterious": "orders->postgres"}
    imported = import_chaostoolkit(SAMPLES / "toxiproxy.json", names=names, journey="checkout", rate=5)
    assert schedule(imported)[-1][:2] == ("link_down", "orders->postgres")
    assert (imported.experiment.load.journey, imported.experiment.load.rate) == ("checkout", 5)


def test_a_link_that_the_shop_has_not_is_told_before_the_run():
    imported = import_chaostoolkit(SAMPLES / "toxiproxy.json", names={"mysterious": "orders->redis"})
    assert lines(imported)["who-is-this"][1].startswith("orders does not use Redis")


def test_kubernetes_becomes_faults_of_services_and_links():
    imported = import_chaostoolkit(SAMPLES / "kubernetes.yaml")
    assert schedule(imported) == [
        ("kill", "products", 5.0, 19.0),
        ("latency", "orders", 10.0, 14.0),
        ("link_latency", "users->postgres", 10.0, 19.0),
        ("cpu_burn", "gateway", 10.0, 13.0),
        ("pause", "notifications", 14.0, 19.0),
    ], "what nothing ends lasts to the end of the method, and for five seconds at least"
    latency = imported.experiment.faults[1].fault
    assert (latency.min, latency.max) == (pytest.approx(0.08), pytest.approx(0.12))
    assert imported.experiment.faults[3].fault.cores == 1.0


def test_every_activity_of_kubernetes_has_its_line():
    found = lines(import_chaostoolkit(SAMPLES / "kubernetes.yaml"))
    outcomes = {name: outcome for name, (outcome, _) in found.items()}
    assert outcomes == {
        "all-pods-are-there": "not needed",
        "errors-are-few": "not mapped",
        "gateway-is-up": "mapped",
        "log-is-clean": "not mapped",
        "terminate-a-product-pod": "mapped",
        "slow-orders": "mapped",
        "slow-database": "mapped",
        "burn": "mapped",
        "wait": "mapped",
        "orders-fast-again": "mapped",
        "lossy-network": "not mapped",
        "hold-the-worker": "mapped",
        "close-the-firewall": "not mapped",
        "drain-a-node": "not mapped",
        "scale-up": "not needed",
        "controls": "not mapped",
        "secrets": "not needed",
    }
    assert "write link_blackhole or link_down" in found["close-the-firewall"][1]
    assert "chaosk8s.node.actions is not known" in found["drain-a-node"][1]


@pytest.mark.parametrize("sample", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_the_command_writes_a_file_that_runs(sample, tmp_path):
    written = tmp_path / "ours.yaml"
    done = CliRunner().invoke(program, ["import", "chaostoolkit", str(sample), "-o", str(written)])
    assert done.exit_code == 0, done.stderr
    again = read_experiment(written)
    assert again == import_chaostoolkit(sample).experiment
    jsonschema.validate(read_document(written).values, experiment_schema())
    head = [line for line in written.read_text().splitlines() if line.startswith("#")]
    assert len(head) == 1 + len(import_chaostoolkit(sample).lines)


def test_without_a_place_the_file_is_shown():
    done = CliRunner().invoke(program, ["import", "chaostoolkit", str(SAMPLES / "toxiproxy.json")])
    assert done.stdout.startswith("# Made from toxiproxy.json")
    assert "mapped      slow-database: +80ms on products->postgres" in done.stderr


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"title": "x"}, "x.json, method: a Chaos Toolkit experiment has a method"),
        ({"method": [{"type": "action"}]}, "x.json, line 1, method[0]: an activity of Chaos Toolkit has a type"),
        ({"method": [], "rollbacks": {}}, "x.json, line 1, rollbacks: Chaos Toolkit has a list"),
    ],
)
def test_another_file_is_refused(tmp_path, values, said):
    (tmp_path / "x.json").write_text(json.dumps(values))
    with pytest.raises(UsageError) as refused:
        import_chaostoolkit(tmp_path / "x.json")
    assert said in str(refused.value)


def test_whoever_runs_such_a_file_is_told_to_import_it():
    done = CliRunner().invoke(program, ["run", str(SAMPLES / "toxiproxy.json")])
    assert done.exit_code == 2
    assert "cloudcart import chaostoolkit toxiproxy.json" in done.stderr
