"""Which headers pass the gateway, in each direction, and which it adds."""

from __future__ import annotations

import pytest

from cloudcart.services.gateway.headers import SECURITY_HEADERS, Cors, Pair, for_client, for_upstream


def inwards(*pairs: Pair) -> list[Pair]:
    return for_upstream(pairs, dict(pairs))


@pytest.mark.parametrize(
    "name",
    [
        b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"proxy-authorization",
        b"host", b"content-length", b"expect", b"x-service-token", b"x-user-id", b"x-user", b"x-username",
        b"x-is-admin", b"x-admin", b"x-role", b"x-roles", b"x-forwarded-for", b"x-forwarded-host", b"forwarded",
        b"x-real-ip", b"x-cloudcart-inject", b"x-cloudcart-request-key", b"x-request-id", b"traceparent",
        b"x-authenticated-user", b"x-http-method-override", b"x-original-url", b"x-rewrite-url", b"x-internal-call",
    ],
)  # fmt: skip
def test_what_belongs_to_the_connection_or_could_pretend_is_stripped(name: bytes) -> None:
    assert inwards((name, b"1"), (b"accept", b"*/*")) == [(b"accept", b"*/*")]


@pytest.mark.parametrize("name", [b"accept", b"content-type", b"idempotency-key", b"last-event-id", b"x-anything"])
def test_other_headers_pass(name: bytes) -> None:
    assert inwards((name, b"1")) == [(name, b"1")]


def test_headers_that_connection_names_are_stripped() -> None:
    pairs = ((b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"authorization", b"a"), (b"x-stay", b"2"))
    assert inwards(*pairs) == [(b"x-stay", b"2"), (b"authorization", b"a")]


def test_one_authorization_is_forwarded_the_one_that_is_checked() -> None:
    pairs = [(b"authorization", b"first"), (b"authorization", b"last")]
    assert for_upstream(pairs, dict(pairs)) == [(b"authorization", b"last")]


def test_answers_lose_what_is_private_and_links_get_the_prefix() -> None:
    pairs = [
        (b"content-type", b"application/json"),
        (b"server", b"uvicorn"),
        (b"connection", b"close"),
        (b"content-length", b"2"),
        (b"x-cloudcart-fault", b"f1"),
        (b"link", b'</products?offset=1>; rel="next", </products>; rel="first"'),
        (b"location", b"/orders/7"),
        (b"x-total-count", b"24"),
    ]
    assert for_client(pairs) == [
        (b"content-type", b"application/json"),
        (b"link", b'</api/products?offset=1>; rel="next", </api/products>; rel="first"'),
        (b"location", b"/api/orders/7"),
        (b"x-total-count", b"24"),
    ]


def test_only_listed_origins_get_permission() -> None:
    cors = Cors(["http://localhost:3001"])
    assert (b"access-control-allow-origin", b"http://localhost:3001") in cors.permission(b"http://localhost:3001")
    for origin in (b"http://localhost:3001.evil.test", b"http://localhost", b"null", b"*", b""):
        assert cors.permission(origin) == ((b"vary", b"Origin"),)
        assert not cors.allows(origin)


def test_security_headers_are_those_of_helmet() -> None:
    names = [name for name, _ in SECURITY_HEADERS]
    assert names == sorted(set(names))
    assert {b"content-security-policy", b"strict-transport-security", b"x-content-type-options"} < set(names)
