"""Is what the shop says of its HTTP API true? schemathesis reads each document and tries to prove that it is not.

``CLOUDCART_EXAMPLES=100 pytest tests/shop/test_openapi.py`` tries harder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from cloudcart.lab import Lab
from cloudcart.services.gateway.routes import ENDPOINTS
from cloudcart.settings import SERVICES

EXAMPLES = int(os.environ.get("CLOUDCART_EXAMPLES", "4"))
# These last as long as they are asked to, answer with the error that is asked for, take memory, or begin the shop anew.
LEFT_OUT = (
    "/notifications/stream",
    "/internal/reset",
    "/chaos/test/slow",
    "/chaos/test/error",
    "/chaos/test/memory-leak",
    "/internal/prepare-users",
)
# What a document cannot say, so that 422 may be the answer to what it calls valid. Everywhere else it may not.
BEYOND_A_SCHEMA = {
    r"/chaos/(faults|config|inject/(latency|error))": "which parameters a kind has, which target, that max is over min",
    r"/orders(/{id}/pay)?$": "that a product is unknown, a key used already",
    r"/(auth/register|users)$": "how many bytes the letters of a password have",
    r"/products(/{id})?$": "that there are two decimals, which floating numbers have only nearly",
    r"/internal/handle$": "which fields the event of a topic has",
}
# The gateway is asked in two parts, since what is injected by the one would hit the other.
PARTS = {**dict.fromkeys(SERVICES, ""), "gateway": r"^/api/chaos/", "the gateway's chaos": r"^/api/(?!chaos/)"}


@pytest.fixture(autouse=True)
def _restored(lab: Lab) -> Iterator[None]:
    """Begin and end with a shop as after its start: an administrator who tries everything leaves little whole."""
    lab.reset()
    yield
    lab.reset()


@pytest.mark.parametrize("part", PARTS)
def test_a_document_is_true(lab, admin, part):
    events = list(from_schema(schema_of(lab, admin, part)).execute())
    scenarios = [event.recorder for event in events if isinstance(event, ScenarioFinished)]
    assert [event for event in events if isinstance(event, NonFatalError | FatalError)] == []
    untruths = {untruth for recorder in scenarios for untruth in untruths_in(recorder)}
    assert not untruths, "\n\n".join(sorted(untruths))
    checked = {check.name for recorder in scenarios for checks in recorder.checks.values() for check in checks}
    load_all_checks()
    missing = set(CHECKS.get_all_names()) - checked
    assert missing <= ({"ignored_auth"} if part == "chaos" else set()), "the chaos service's own port may be open"


def schema_of(lab: Lab, admin: Any, part: str) -> Any:
    """Return what a service says of itself, to be tried out as administrator and as a service."""
    valid = {"expected-statuses": ["2xx", "3xx", "401", "403", "404", "409", "429", "5xx"]}
    refused = {"expected-statuses": [*valid["expected-statuses"], "422"]}
    beyond = [{"include-path-regex": path, "checks": {"positive_data_acceptance": refused}} for path in BEYOND_A_SCHEMA]
    remembered = {"include-path-regex": "/chaos/faults/", "checks": {"use_after_free": {"enabled": False}}}
    bounds = {"max-examples": EXAMPLES, "deterministic": True, "database": "none"}
    config = schemathesis.Config.from_dict(
        {
            "headers": {"Authorization": f"Bearer {admin.token}", "X-Service-Token": lab.service_token()},
            "generation": bounds,
            "phases": {"stateful": {"generation": bounds}},
            "checks": {"positive_data_acceptance": valid},
            "operations": [*beyond, remembered],  # a fault that was healed is shown with its final counts
            "request-timeout": 30,
            "continue-on-failure": True,
        }
    )
    service = part if part in SERVICES else "gateway"
    path = "/api/openapi.json" if service == "gateway" else "/openapi.json"
    schema = schemathesis.openapi.from_url(lab.urls[service] + path, config=config)
    for each in LEFT_OUT:
        schema = schema.exclude(path=[each, f"/api{each}"])
    return schema.exclude(path_regex=PARTS[part]) if PARTS[part] else schema


def untruths_in(recorder: Any) -> Iterator[str]:
    """Yield what was found in one scenario: the claim, the request and the answer."""
    for number, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is None:
                continue
            case, failure = recorder.cases[number].value, check.failure_info.failure
            interaction = recorder.interactions.get(number)
            answer = interaction.response if interaction is not None else None
            yield (
                f"{check.name}: {failure.operation}: {failure.message}\n"
                f"{case.method} {case.formatted_path} {case.query} {str(case.body)[:500]}\n"
                f"{'' if answer is None else (answer.status_code, answer.content[:500])}"
            )


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
