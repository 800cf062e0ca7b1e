"""Who may do what: every route of the gateway against every kind of caller, on a real lab."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloudcart.lab import Lab
from cloudcart.services.gateway.routes import ENDPOINTS
from cloudcart.services.gateway.schema import PATH as DOCUMENT
from cloudcart.services.security import ISSUER


class Case(NamedTuple):
    """A call and what becomes of it for each kind of caller; names in braces are made anew for every call."""

    method: str
    route: str
    nobody: int
    user: int
    owner: int
    admin: int
    body: object = None
    query: str = ""


LATENCY = {"kind": "latency", "target": "orders", "fixed": "1ms", "ttl": "1s"}
CASES = [
    Case("POST", "/auth/register", 201, 201, 201, 201, "{registration}"),
    Case("POST", "/auth/login", 200, 200, 200, 200, "{credentials}"),
    Case("GET", "/auth/validate", 401, 200, 200, 200),
    Case("GET", "/auth/jwks", 200, 200, 200, 200),
    Case("GET", "/users", 401, 403, 403, 200),
    Case("POST", "/users", 401, 403, 403, 201, "{registration}"),
    Case("GET", "/users/{id}", 401, 403, 200, 200),
    Case("PUT", "/users/{id}", 401, 403, 200, 200, {"full_name": "Somebody Else"}),
    Case("DELETE", "/users/{id}", 401, 403, 403, 204),
    Case("GET", "/products", 200, 200, 200, 200),
    Case("POST", "/products", 401, 403, 403, 201, {"name": "x", "price": 1, "category": "x"}),
    Case("GET", "/products/category/{category}", 200, 200, 200, 200),
    Case("GET", "/products/{id}", 200, 200, 200, 200),
    Case("PUT", "/products/{id}", 401, 403, 403, 200, {"price": 2}),
    Case("DELETE", "/products/{id}", 401, 403, 403, 204),
    Case("PATCH", "/products/{id}/stock", 401, 403, 403, 200, {"stock": 9}),
    Case("GET", "/orders", 401, 403, 403, 200),
    Case("POST", "/orders", 401, 201, 201, 201, {"items": [{"product_id": 1, "quantity": 1}]}),
    Case("GET", "/orders/my-orders", 401, 200, 200, 200),
    Case("GET", "/orders/{id}", 401, 404, 200, 200),
    Case("PATCH", "/orders/{id}/status", 401, 404, 200, 200, {"status": "cancelled"}),
    Case("PATCH", "/orders/{id}/status", 401, 404, 403, 200, {"status": "confirmed"}),
    Case("POST", "/orders/{id}/pay", 401, 404, 200, 403, {"payment_method": "card"}),
    Case("GET", "/notifications", 401, 200, 200, 200),
    Case("GET", "/notifications/stream", 401, 200, 200, 200),
    Case("GET", "/chaos/config", 401, 403, 403, 200),
    Case("PUT", "/chaos/config", 401, 403, 403, 200, {"error_rate": 0, "latency_rate": 0, "timeout_rate": 0}),
    Case("POST", "/chaos/inject/{kind}", 401, 403, 403, 201, {"min_ms": 1, "max_ms": 2, "ttl": "1s"}),
    Case("POST", "/chaos/enable", 401, 403, 403, 200),
    Case("POST", "/chaos/disable", 401, 403, 403, 200),
    Case("POST", "/chaos/reset", 401, 403, 403, 200),
    Case("GET", "/chaos/test/{kind}", 401, 403, 403, 200, query="?ms=1"),
    Case("GET", "/chaos/faults", 401, 403, 403, 200),
    Case("POST", "/chaos/faults", 401, 403, 403, 201, LATENCY),
    Case("DELETE", "/chaos/faults", 401, 403, 403, 200),
    Case("GET", "/chaos/faults/{id}", 401, 403, 403, 200),
    Case("PATCH", "/chaos/faults/{id}", 401, 403, 403, 200, {"probability": 0.5}),
    Case("DELETE", "/chaos/faults/{id}", 401, 403, 403, 200),
    Case("GET", "/chaos/catalogue", 401, 403, 403, 200),
    Case("GET", "/chaos/targets", 401, 403, 403, 200),
    Case("GET", "/openapi.json", 200, 200, 200, 200),
]
ROUTES = sorted({case.route for case in CASES})
READ = {case.route for case in CASES if case.method == "GET"}
# HEAD is for those for whom GET is. Which methods there are is nobody's secret: it does not depend on the caller.
HEADS = [case._replace(method="HEAD") for case in CASES if case.method == "GET"]
HEADS += [Case("HEAD", route, 405, 405, 405, 405) for route in ROUTES if route not in READ]
OPTIONS = [Case("OPTIONS", route, 204, 204, 204, 204) for route in ROUTES]


def segment(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def claims(**changes: object) -> dict[str, Any]:
    return {"iss": ISSUER, "sub": "1", "username": "admin", "is_admin": True, "exp": int(time.time()) + 600, **changes}


@pytest.fixture(scope="module")
def bad_tokens(lab: Lab) -> dict[str, str]:
    """Tokens that claim to be the administrator's, by what is wrong with them."""
    auth = lab.settings.auth
    assert auth.private_key is not None
    assert auth.public_key is not None
    private = auth.private_key.get_secret_value()
    header, payload, signature = lab.prepare_users(1)[0].token.split(".")
    assert payload
    confused = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment(claims())}"
    mac = hmac.new(auth.public_key.encode(), confused.encode(), hashlib.sha256).digest()
    return {
        "expired": jwt.encode(claims(exp=int(time.time()) - 1), private, "EdDSA"),
        "without expiry": jwt.encode({k: v for k, v in claims().items() if k != "exp"}, private, "EdDSA"),
        "of another issuer": jwt.encode(claims(iss="elsewhere"), private, "EdDSA"),
        "signed by another key": jwt.encode(claims(), Ed25519PrivateKey.generate(), "EdDSA"),
        "unsigned": jwt.encode(claims(), None, "none"),
        "unsigned, spelt otherwise": f"{segment({'alg': 'nOnE', 'typ': 'JWT'})}.{segment(claims())}.",
        "tampered": f"{header}.{segment(claims())}.{signature}",
        "signed with the public key": f"{confused}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        "of a service": lab.service_token(),
        "no token at all": "admin",
    }


@pytest.fixture
def send(
    lab: Lab, admin: Any, new_product: Callable[..., dict[str, Any]], registration: Callable[[], dict[str, str]]
) -> Callable[..., int]:
    """Return a function that makes what a case needs for ``owner``, and returns the status that ``caller`` gets."""

    def made(route: str, owner: Any) -> str:
        if route.startswith("/users"):
            return str(owner.user_id)
        if route.startswith("/products"):
            return str(new_product()["id"])
        if route.startswith("/orders"):
            return str(owner.order()["id"])
        return str(admin("POST", "/chaos/faults", json=LATENCY).json()["id"])

    def body_of(case: Case, owner: Any) -> object:
        if case.body == "{registration}":
            return registration()
        return lab.logins["demo"]._asdict() if case.body == "{credentials}" else case.body

    def ask(case: Case, caller: Any, owner: Any, headers: dict[str, str] | None = None) -> int:
        path = case.route.replace("{category}", "electronics")
        path = path.replace("{kind}", "latency" if case.method == "POST" else "slow")
        if "{id}" in path:
            reaches_a_service = case.nobody not in (204, 405)
            path = path.replace("{id}", made(case.route, owner) if reaches_a_service else "1")
        if case.method == "GET" and path.endswith("/stream"):
            return int(caller.stream_status(path))
        return int(caller(case.method, path + case.query, headers, json=body_of(case, owner)).status_code)

    return ask


@pytest.fixture(autouse=True)
def _healed(lab: Lab) -> Any:
    yield
    lab.heal()


def test_every_route_has_a_case():
    assert {(case.method, f"/api{case.route}") for case in CASES} == {
        (method, route) for route, endpoint in ENDPOINTS.items() for method in endpoint.methods
    } | {("GET", DOCUMENT)}


@pytest.mark.parametrize("case", CASES + HEADS + OPTIONS, ids=lambda case: f"{case.method} {case.route}")
def test_who_may(case, send, nobody, new_user, admin, bad_tokens):
    owner, other = new_user(), new_user()
    assert send(case, nobody, owner) == case.nobody
    assert send(case, other, owner) == case.user
    for flaw, token in bad_tokens.items():
        caller = type(nobody)(nobody.client, token)
        assert send(case, caller, owner) == case.nobody, f"a token that is {flaw}"
    spoofed = {"x-service-token": bad_tokens["of a service"], "x-user-id": "1", "x-is-admin": "true"}
    if not case.route.endswith("/stream"):
        assert send(case, nobody, owner, spoofed) == case.nobody
        assert send(case, other, owner, spoofed) == case.user
    assert send(case, owner, owner) == case.owner
    if case.method != "DELETE" or case.route != "/users/{id}":
        owner = new_user()
    assert send(case, admin, owner) == case.admin


def test_a_new_user_is_no_administrator_whatever_was_asked_for(nobody, registration):
    answer = nobody("POST", "/auth/register", json={**registration(), "is_admin": True})
    assert answer.json()["user"]["is_admin"] is False
    assert type(nobody)(nobody.client, answer.json()["token"])("GET", "/users").status_code == 403


def test_nobody_raises_the_own_rights(user):
    changed = user("PUT", f"/users/{user.user_id}", json={"is_admin": True, "full_name": "Me"})
    assert changed.json()["is_admin"] is False


def test_lists_show_only_the_own(new_user, admin):
    one, other = new_user(), new_user()
    order = one.order()
    assert [each["id"] for each in one("GET", "/orders/my-orders").json()] == [order["id"]]
    assert other("GET", "/orders/my-orders").json() == []
    assert other("GET", "/orders/my-orders", params={"user_id": one.user_id}).json() == []
    assert [each["id"] for each in admin("GET", "/orders", params={"user_id": one.user_id}).json()] == [order["id"]]
