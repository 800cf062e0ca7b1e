"""Service levels: what objectives say of single requests, and what Prometheus's own tools make of the rules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from cloudcart.exceptions import UsageError
from cloudcart.signals import Objective, ServiceLevel, openslo, parse_period, prometheus_rules, service_levels
from cloudcart.signals.service_level import format_period
from cloudcart.telemetry.metrics import bucket_edges


def level(text: str, **options) -> ServiceLevel:
    kept = {name: options.pop(name) for name in ("period", "time_scale") if name in options}
    return ServiceLevel.of(Objective.parse(text, **options), **kept)


@pytest.mark.parametrize(
    ("text", "options", "target", "threshold"),
    [
        ("errors < 0.1%", {}, 0.999, None),
        ("p99 < 2s", {"route": "POST /api/orders"}, 0.99, 2.0),
        ("p99.9 <= 500ms", {}, 0.999, 0.5),
        ("alert < 60s", {"slo": "99.9%"}, 0.999, None),
        ("burn < 1", {"slo": "99%"}, 0.99, None),
    ],
)
def test_an_objective_on_requests_says_a_service_level(text, options, target, threshold):
    found = level(text, **options)
    assert (found.slo.target, found.threshold, found.service) == (pytest.approx(target), threshold, "gateway")


@pytest.mark.parametrize("text", ["recovery < 3s", "lag < 10", "traffic > 5", "mean < 1s", "errors > 1%"])
def test_other_objectives_say_none(text):
    assert level(text) is None


def test_each_is_taken_once_and_named_for_itself():
    texts = ("errors < 1%", "errors < 1%", "errors < 2%", "recovery < 3s")
    names = [found.name for found in service_levels([Objective.parse(text) for text in texts], prefix="my claim")]
    assert names == ["my-claim-gateway-availability", "my-claim-gateway-availability-2"]


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2_592_000), ("4w", 2_419_200), ("90s", 90), ("1h", 3600)])
def test_periods_are_read_and_written(text, seconds):
    assert parse_period(text) == seconds
    assert parse_period(format_period(seconds)) == seconds


def test_short_windows_are_written_in_milliseconds():
    assert format_period(0.4166) == "417ms"


@pytest.mark.parametrize("text", ["30", "1.5h", "d", "0d", "-1d"])
def test_nonsense_is_no_period(text):
    with pytest.raises(UsageError, match="is not a period"):
        parse_period(text)


def test_openslo_documents_say_the_same():
    documents = openslo([level("p99 < 2s", route="POST /api/orders"), level("errors < 0.1%", service="orders")])
    kinds = [document["kind"] for document in documents]
    assert kinds == ["Service", "Service", "AlertNotificationTarget", *["SLO", *["AlertPolicy"] * 3] * 2]
    assert all(document["apiVersion"] == "openslo/v1" for document in documents)
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(set(names)) == len(names)
    first = documents[3]["spec"]
    good = first["indicator"]["spec"]["ratioMetric"]["good"]["metricSource"]["spec"]["query"]
    assert good == (
        'sum(http_request_duration_seconds_bucket{service="gateway", method="POST", route="/api/orders", le="2.0"})'
    )
    assert (first["objectives"][0]["target"], first["timeWindow"][0]["duration"]) == (0.99, "30d")
    thresholds = [d["spec"]["conditions"][0]["spec"]["condition"]["threshold"] for d in documents[4:7]]
    assert thresholds == [14.4, 6.0, 1.0]
    assert set(first["alertPolicies"]) <= {name for kind, name in names if kind == "AlertPolicy"}


def test_the_bounds_that_people_choose_are_edges_of_the_shops_buckets():
    for seconds in (0.1, 0.25, 0.5, 1.0, 2.0, 5.0):
        assert seconds in bucket_edges()


@pytest.fixture
def promtool(prometheus_program):
    found = prometheus_program("promtool")

    def run(*arguments: str | Path) -> str:
        done = subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def write(path: Path, document: object) -> Path:
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_promtool_accepts_the_rules(promtool, tmp_path):
    levels = [
        level("errors < 0.1%"),
        level("p99 < 2s", route="POST /api/orders"),
        level("p95 < 250ms", service="orders"),
        level("errors < 1%", service="users", time_scale=720),
    ]
    said = promtool("check", "rules", write(tmp_path / "rules.yaml", prometheus_rules(levels)))
    assert said.count("SUCCESS: 8 rules found") + said.count("SUCCESS: 32 rules found") == 1


ERRORS = 'http_requests_total{service="gateway", method="GET", route="/api/products", status="%s"}'
BUCKET = 'http_request_duration_seconds_bucket{service="gateway", method="GET", route="/api/products", le="%s"}'
COUNT = 'http_request_duration_seconds_count{service="gateway", method="GET", route="/api/products"}'


def unit_test(series: dict[str, str], at: str, firing: list[str], name: str) -> dict:
    """A test of promtool's own kind: the series a minute each, and which windows' alerts fire at a moment."""
    return {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [],
                "promql_expr_test": [
                    {
                        "expr": f'count by (window) (ALERTS{{alertstate="firing", slo="{name}"}})',
                        "eval_time": at,
                        "exp_samples": [{"labels": f'{{window="{window}"}}', "value": 1} for window in firing],
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("series", "at", "firing"),
    [
        # 0.1 % of errors allowed; 2 % is a burn rate of 20: more than 14.4, 6 and 1
        ({ERRORS % 200: "0+980x300", ERRORS % 503: "0+20x300"}, "4h", ["1h", "6h", "3d"]),
        # 1 % is 10: not worth the page of the hour, but that of six
        ({ERRORS % 200: "0+990x300", ERRORS % 503: "0+10x300"}, "4h", ["6h", "3d"]),
        # 0.05 % is 0.5: within the budget
        ({ERRORS % 200: "0+1999x300", ERRORS % 503: "0+1x300"}, "4h", []),
        # over since 10 minutes: the short window of the first page has let go
        ({ERRORS % 200: "0+980x300", ERRORS % 503: "0+20x120 2400x180"}, "130m", ["6h", "3d"]),
    ],
)
def test_promtool_sees_the_alerts_of_the_workbook_fire(promtool, tmp_path, series, at, firing):
    rules = prometheus_rules([level("errors < 0.1%")])
    rules["groups"][0].pop("interval")
    write(tmp_path / "rules.yaml", rules)
    tests = write(tmp_path / "tests.yaml", unit_test(series, at, firing, "gateway-availability"))
    promtool("test", "rules", tests)


def test_promtool_sees_slow_requests_burn_a_latency_budget(promtool, tmp_path):
    rules = prometheus_rules([level("p99 < 2s", route="GET /api/products")])
    rules["groups"][0].pop("interval")
    write(tmp_path / "rules.yaml", rules)
    slow = {BUCKET % "2.0": "0+80x120", BUCKET % "+Inf": "0+100x120", COUNT: "0+100x120"}  # 20 % of 1 %: a rate of 20
    name = rules["groups"][0]["name"].removeprefix("slo-")
    promtool("test", "rules", write(tmp_path / "tests.yaml", unit_test(slow, "2h", ["1h", "6h", "3d"], name)))
