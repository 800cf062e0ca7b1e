"""Objectives as people write them, and the sentences for those that make no sense."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.exceptions import UsageError
from cloudcart.signals import Objective, golden_signal
from cloudcart.signals.golden import Route


@pytest.mark.parametrize(
    ("text", "signal", "operator", "bound", "source"),
    [
        ("p99 < 2s", "p99", "<", 2.0, "client"),
        ("p50<=80ms", "p50", "<=", 0.08, "client"),
        ("p99.9 < 5s", "p99.9", "<", 5.0, "client"),
        ("mean latency < 100ms", "mean", "<", 0.1, "client"),
        ("errors < 1%", "errors", "<", 0.01, "client"),
        ("errors <= 100%", "errors", "<=", 1.0, "client"),
        ("throttled > 0.5%", "throttled", ">", 0.005, "client"),
        ("traffic > 30", "traffic", ">", 30.0, "client"),
        ("traffic >= 30/s", "traffic", ">=", 30.0, "client"),
        ("recovery < 3s", "recovery", "<", 3.0, "client"),
        ("cpu < 90%", "cpu", "<", 0.9, "scrape"),
        ("memory < 300MB", "memory", "<", 3e8, "scrape"),
        ("loop_lag < 50ms", "loop_lag", "<", 0.05, "scrape"),
        ("pool < 100%", "pool", "<", 1.0, "scrape"),
        ("lag > 100", "lag", ">", 100.0, "scrape"),
        ("lag_end <= 0", "lag_end", "<=", 0.0, "scrape"),
        ("injected > 20", "injected", ">", 20.0, "scrape"),
    ],
)
def test_objectives_are_read(text, signal, operator, bound, source):
    objective = Objective.parse(text)
    assert (objective.signal, objective.operator, objective.source) == (signal, operator, source)
    assert objective.bound == pytest.approx(bound)
    assert objective.unit == golden_signal(signal).unit


def test_scope_says_where_and_when():
    objective = Objective.parse("p99 < 2s", service="orders", route="post /api/orders", phase="fault", name="check-out")
    assert (objective.service, objective.route, objective.phase) == ("orders", "POST /api/orders", "fault")
    assert objective.source == "scrape"  # the client does not see what stands behind the gateway
    assert str(objective) == "check-out · POST /api/orders, orders, fault phase"


@pytest.mark.parametrize(
    ("text", "options", "hint"),
    [
        ("", {}, "is not an objective; write a signal"),
        ("p99", {}, "write a signal, an operator and a bound"),
        (None, {}, "is not an objective"),
        ("p99 == 2s", {}, "is not an objective"),
        ("speed < 2s", {}, "there is no signal 'speed'; choose p50"),
        ("p0 < 2s", {}, "there is no signal 'p0'"),
        ("p99 < 2", {}, "'2' has no unit; write 2s or 2ms"),
        ("p99 < 0s", {}, "this can never hold"),
        ("errors < 5", {}, "write 5% or a number from 0 to 1"),
        ("errors < 200%", {}, "a share lies between 0% and 100%"),
        ("errors > 100%", {}, "a share lies between 0% and 100%"),
        ("p99 < 2s", {"phase": "lunch"}, "choose steady, fault or recovery"),
        ("p99 < 2s", {"source": "guess"}, "choose client, scrape or prometheus"),
        ("p99 < 2s", {"rout": "/x"}, "there is no option 'rout'; choose from service, route"),
        ("p99 < 2s", {"route": "orders"}, "write '/api/orders' or 'POST /api/orders'"),
        ("p99 < 2s", {"service": "the gateway"}, "is not the name of a service"),
        ("p99 < 2s", {"service": 7}, "is not the name of a service"),
        ("p99 < 2s", {"service": "orders", "source": "client"}, "use source='scrape'"),
        ("cpu < 90%", {"source": "client"}, "the client does not see cpu"),
        ("cpu < 90%", {"route": "/api/orders"}, "cpu has no routes"),
        ("recovery < 3s", {"phase": "fault"}, "leave service and phase out"),
        ("recovery < 3s", {"source": "scrape"}, "leave source out"),
    ],
)
def test_nonsense_is_a_usage_error_of_one_sentence(text, options, hint):
    with pytest.raises(UsageError, match=hint) as raised:
        Objective.parse(text, **options)
    assert "\n" not in str(raised.value)


@given(
    st.text(max_size=30)
    | st.from_regex(r"(p[0-9.]{1,5}|errors|cpu|lag) ?[<>]=? ?[0-9.]{1,6}(s|ms|%|MB|)", fullmatch=True)
)
def test_any_text_is_an_objective_or_a_usage_error(text):
    try:
        objective = Objective.parse(text)
    except UsageError:
        return
    assert Objective.parse(objective.text) == objective


def test_an_objective_is_json_and_comparable():
    objective = Objective.parse("p99 < 2s", phase="fault")
    assert objective == Objective.parse("p99  <  2s ", phase="fault")
    assert json.loads(json.dumps(asdict(objective)))["bound"] == 2.0


@pytest.mark.parametrize(
    ("route", "method", "path", "matches"),
    [
        ("/api/orders", "POST", "/api/orders", True),
        ("/api/orders", "GET", "/api/orders", True),
        ("POST /api/orders", "GET", "/api/orders", False),
        ("/api/products/{id}", "GET", "/api/products/{product_id}", True),
        ("/api/products/{id}", "GET", "/api/products", False),
        ("/api/orders", "GET", "/api/orders/my-orders", False),
    ],
)
def test_a_route_is_one_template_and_perhaps_one_method(route, method, path, matches):
    assert Route.parse(route).matches(method, path) is matches


def test_a_service_knows_the_gateways_route_without_its_prefix():
    route = Route.parse("POST /api/orders/{id}/pay")
    assert str(route.at("orders")) == "POST /orders/{id}/pay"
    assert route.at("gateway") == route
