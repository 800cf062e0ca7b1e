"""``cloudcart export``: from a scenario, a run or a file, as Prometheus rules or OpenSLO; clear refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml
from click.testing import CliRunner

from cloudcart.cli.program import program
from cloudcart.signals import Objective, Reading, Window, judge

SLOS = """
slos:
  - name: check-out works
    objective: errors < 0.1%
    route: POST /api/orders
    period: 28d
  - objective: p99 < 2s
"""


def export(*arguments: object) -> tuple[int, str, str]:
    answer = CliRunner().invoke(program, ["export", *map(str, arguments)])
    return answer.exit_code, answer.stdout, answer.stderr


def test_a_file_of_service_levels_becomes_openslo(tmp_path):
    path = tmp_path / "slos.yaml"
    path.write_text(SLOS)
    code, out, _ = export(path, "--format", "openslo")
    slos = [document for document in yaml.safe_load_all(out) if document["kind"] == "SLO"]
    assert code == 0
    assert [slo["metadata"]["name"] for slo in slos] == ["check-out-works", "gateway-latency"]
    assert [slo["spec"]["timeWindow"][0]["duration"] for slo in slos] == ["28d", "30d"]
    assert [slo["spec"]["objectives"][0]["target"] for slo in slos] == [0.999, 0.99]


def test_a_scenario_becomes_prometheus_rules_on_its_time_scale(tmp_path):
    target = tmp_path / "rules.yaml"
    code, out, err = export(
        "control_no_fault_no_alarm", "--format", "prometheus", "--time-scale", 720, "--output", target
    )
    assert (code, out) == (0, "")
    assert err == f"3 service levels written to {target}\n"
    groups = yaml.safe_load(target.read_text())["groups"]
    assert groups[0]["name"] == "slo-control-no-fault-no-alarm-gateway-availability"
    windows = {rule["record"].partition("rate")[2] for rule in groups[0]["rules"] if "record" in rule}
    assert {"5s", "417ms", "30s", "2500ms"} <= windows


def test_a_run_says_the_objectives_that_it_was_judged_by(tmp_path):
    reading = Reading("p95", 0.1, "s", 100, 0.09, 0.11, Window(0, 1), "client", "gateway", "POST /api/orders")
    judged = [
        judge(Objective.parse("p95 < 500ms", route="POST /api/orders"), reading).document(),
        judge(Objective.parse("recovery < 3s"), replace(reading, signal="recovery", route=None)).document(),
    ]
    (tmp_path / "run.json").write_text(json.dumps({"objectives": judged}))
    code, out, _ = export(tmp_path, "--format", "prometheus")
    assert code == 0
    [group] = yaml.safe_load(out)["groups"]
    assert 'route="/api/orders", le="0.5"' in group["rules"][0]["expr"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("slos: 5", "write a list of service levels"),
        ("slos: [{objective: lag < 5}]", "number 1: lag < 5 is not about single requests"),
        ("slos: [{objektive: errors < 1%}]", "number 1: there is no field 'objektive'"),
        ("slos: [{objective: errors < 1%, period: month}]", "number 1: 'month' is not a period"),
        ("slos: [", "cannot be read"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "slos.yaml"
    path.write_text(text)
    code, out, err = export(path, "--format", "openslo")
    assert (code, out) == (2, "")
    assert sentence in err


def test_what_is_nowhere_is_refused(tmp_path):
    code, _, err = export("no_such_claim", "--format", "openslo")
    assert code == 2
    assert "there is no scenario 'no_such_claim'" in err
