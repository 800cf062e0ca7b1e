"""Is what the shop says of its HTTP API true? schemathesis reads each document and tries to prove that it is not.

``CLOUDCART_EXAMPLES=100 pytest tests/shop/test_openapi.py`` tries harder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks

from cloudcart.lab import Lab
from cloudcart.services.gateway.routes import ENDPOINTS
from cloudcart.settings import SERVICES

EXAMPLES = int(os.environ.get("CLOUDCART_EXAMPLES", "4"))
# What a document cannot say: that a name is taken, a product unknown, a fault impossible, a key used already.
OPINIONS = {"positive_data_acceptance"}
# These last as long as they are asked to, answer with the error that is asked for, or begin the shop anew.
LEFT_OUT = {
    "/notifications/stream",
    "/internal/reset",
    "/chaos/test/slow",
    "/chaos/test/error",
    "/internal/prepare-users",
}


@pytest.fixture(autouse=True)
def _restored(lab: Lab) -> Iterator[None]:
    """Begin and end with a shop as after its start: an administrator who tries everything leaves little whole."""
    lab.reset()
    yield
    lab.reset()


@pytest.mark.parametrize("service", SERVICES)
def test_a_document_is_true(lab, admin, service):
    path = "/api/openapi.json" if service == "gateway" else "/openapi.json"
    schema = schemathesis.openapi.from_url(lab.urls[service] + path)
    load_all_checks()
    checks = [
        check for name, check in zip(CHECKS.get_all_names(), CHECKS.get_all(), strict=True) if name not in OPINIONS
    ]
    failures = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.removeprefix("/api") in LEFT_OUT:
            continue
        try:
            prove(operation, headers_for(lab, admin, operation), checks)
        except (Exception, BaseExceptionGroup) as failure:
            failures[operation.label] = str(failure)
            lab.heal()
    assert not failures, "\n\n".join(f"{label}: {failure}" for label, failure in failures.items())


def headers_for(lab: Lab, admin: Any, operation: Any) -> dict[str, str]:
    if operation.path.startswith("/internal"):
        return {"x-service-token": lab.service_token()}
    return {"Authorization": f"Bearer {admin.token}"}


def prove(operation: Any, headers: dict[str, str], checks: list[Any]) -> None:
    """Try to find a request to which the answer is not as the document says."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def attempt(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=checks, timeout=30)

    attempt()


def test_the_gateway_describes_every_route_that_it_lets_through(nobody):
    document = nobody("GET", "/openapi.json").json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    routes = {(method, route) for route, endpoint in ENDPOINTS.items() for method in endpoint.methods}
    named = {(method, path) for method, path in routes if "{" not in path}
    assert named <= described
    assert not [path for _, path in described if "internal" in path]
    for method, path in described:
        operation = document["paths"][path][method.lower()]
        public = nobody(method, path.removeprefix("/api"), json={}).status_code != 401 if "{" not in path else None
        if public is not None:
            assert bool(operation["security"]) is not public, (method, path)


def test_lists_say_how_they_are_paged(lab, admin):
    paths = admin("GET", "/openapi.json").json()["paths"]
    paged = {
        path for path, each in paths.items() if "headers" in each.get("get", {}).get("responses", {}).get("200", {})
    }
    assert paged == {
        f"/api/{name}"
        for name in ("users", "products", "products/category/{category}", "orders", "orders/my-orders", "notifications")
    }
