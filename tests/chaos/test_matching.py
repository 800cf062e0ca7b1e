"""What a target names: route, method, header, user; and what is spared unless it is named."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.chaos.matching import RouteIndex, Work, user_of
from cloudcart.faults import parse_fault


def matches(work: Work, **fields: Any) -> bool:
    fault = parse_fault({"kind": "error", "target": "products", **fields}, services=None)
    return bool(RouteIndex([("f", fault)]).find(work))


def inbound(route: str = "/products/{id}", method: str = "GET", **headers: str) -> Work:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Work("inbound", method, route, pairs)


def bearer(**claims: Any) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({}, claims)]
    return f"Bearer {'.'.join(parts)}.signature"


@pytest.mark.parametrize(
    "route",
    ["/health", "/ready", "/metrics", "/chaos/faults", "/api/chaos/faults", "/internal/chaos/poll", "/internal/reset"],
)
def test_probes_and_control_routes_are_hit_only_by_name(route: str) -> None:
    assert not matches(inbound(route))
    assert matches(inbound(route), target=f"products:{route}")


def test_calls_between_services_are_no_control_routes() -> None:
    assert matches(inbound("/internal/stock/take", "POST"))


@pytest.mark.parametrize(
    ("target", "route", "expected"),
    [
        ("products:/products/{id}", "/products/{id}", True),
        ("products:/products/{product_id}", "/products/{id}", True),
        ("mine:/things/{id}", "/things/7", True),
        ("mine:/things/{id}", "/things/7/parts", False),
        ("products:/products", "/products/{id}", False),
        ("products:/products", "/products", True),
    ],
)
def test_a_route_is_a_template(target: str, route: str, expected: bool) -> None:
    assert matches(inbound(route), target=target) is expected


def test_method() -> None:
    assert matches(inbound(method="POST"), method="post")
    assert not matches(inbound(method="GET"), method="POST")


def test_header_by_name_or_by_value() -> None:
    assert matches(inbound(x_arm="b"), header="X-Arm")
    assert matches(inbound(x_arm="b"), header="x-arm=b")
    assert not matches(inbound(x_arm="a"), header="x-arm=b")
    assert not matches(inbound(), header="x-arm")


def test_a_header_that_comes_twice_lets_its_fault_act_once() -> None:
    fault = parse_fault({"kind": "error", "target": "products", "header": "x-arm"})
    work = Work("inbound", "GET", "/", [(b"x-arm", b"a"), (b"x-arm", b"b")])
    assert RouteIndex([("f", fault)]).find(work) == ["f"]


def test_user_by_the_token_s_claim() -> None:
    assert matches(inbound(authorization=bearer(sub="7")), user=7)
    assert not matches(inbound(authorization=bearer(sub="8")), user=7)
    assert not matches(inbound(), user=7)
    assert matches(inbound(authorization=bearer(sub="7"), x_arm="b"), user=7, header="x-arm")
    assert not matches(inbound(authorization=bearer(sub="8"), x_arm="b"), user=7, header="x-arm")


def test_user_as_services_pass_it_on_to_each_other() -> None:
    assert matches(inbound(x_cloudcart_user="7"), user=7)
    assert not matches(inbound(x_cloudcart_user="8"), user=7)
    assert not matches(inbound(x_cloudcart_user="seven"), user=7)
    assert matches(inbound(x_cloudcart_user="8", authorization=bearer(sub="7")), user=7), "a token says it better"


@given(st.binary(max_size=60))
def test_a_token_that_is_none_names_nobody(text: bytes) -> None:
    assert user_of([(b"authorization", b"Bearer " + text)]) is None


def test_direction_and_links() -> None:
    call = Work("outbound", "GET", "/products/7", peer="products")
    assert matches(call, target="gateway", direction="outbound")
    assert matches(call, target="gateway->products")
    assert not matches(call, target="gateway->orders")
    assert not matches(call, target="gateway")
    assert not matches(inbound(), target="products", direction="outbound")
    assert not matches(inbound(), target="gateway->products")


def test_topics() -> None:
    message = Work("inbound", "", "", topic="order.created")
    assert matches(message, target="kafka:order.created")
    assert not matches(message, target="kafka:user.created")
    assert matches(message, target="notifications"), "a service's messages are work, too"
    assert not matches(message, target="notifications:/notifications")
    assert not matches(inbound(), target="kafka:order.created")


@given(st.lists(st.sampled_from(["plain", "header", "user", "other"]), max_size=12))
def test_faults_act_in_the_order_of_their_activation(kinds: list[str]) -> None:
    fields: dict[str, dict[str, Any]] = {
        "plain": {},
        "header": {"header": "x-arm"},
        "user": {"user": 7},
        "other": {"method": "PUT"},
    }
    faults = [parse_fault({"kind": "error", "target": "products", **fields[kind]}) for kind in kinds]
    index = RouteIndex(enumerate(faults))
    found = list(index.find(inbound(x_arm="b", authorization=bearer(sub="7"))))
    assert found == [n for n, kind in enumerate(kinds) if kind != "other"]


def test_paths_of_an_application_without_templates_do_not_pile_up() -> None:
    index = RouteIndex([("f", parse_fault({"kind": "error", "target": "products"}))])
    for n in range(3000):
        assert index.find(inbound(f"/things/{n}"))
    assert len(index._cache) <= 1024
