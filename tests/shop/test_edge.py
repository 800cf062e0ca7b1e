"""What is internal stays internal: spellings, forged headers and broken framing, sent as bytes to a real gateway."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from cloudcart.lab import Lab

INTERNAL = re.compile(r'^http_requests_total\{.*route="(/internal/(?!chaos/)[^"]*|unmatched)".*\} (.+)$', re.MULTILINE)

TARGETS = [
    "/internal/reset",
    "/api/internal/reset",
    "/api/users/internal/reset",
    "/api/products/internal/stock/take",
    "/api/users/../internal/reset",
    "/api/users/%2e%2e/internal/reset",
    "/api/users/%2E%2E%2finternal/reset",
    "/api/users/%252e%252e/internal/reset",
    "/api/users/..%2finternal%2freset",
    "/api/users%2f..%2finternal%2freset",
    "/api/users/..;/internal/reset",
    "/api/users/..\\internal\\reset",
    "/api/users/%5c..%5cinternal%5creset",
    "/api/./internal/reset",
    "/api//internal/reset",
    "//internal/reset",
    "/api/../internal/reset",
    "/%61pi/internal/reset",
    "/%2fapi/internal/reset",
    "/api/%69nternal/reset",
    "/api/products/1/../../internal/reset",
    "/api/products/%00/../internal/reset",
    "/api/products/1%23/internal/reset",
    "/api/products/1?/internal/reset",
    "/api/products/1%3f/internal/reset",
    "/api/users/\u0131nternal/reset",
    "http://users/internal/reset",
    "http://127.0.0.1:{users}/internal/reset",
    "http://users/api/../internal/reset",
    "127.0.0.1:{users}",
    "*",
]

HEADERS = [
    "x-original-url: /internal/reset",
    "x-rewrite-url: /internal/reset",
    "x-forwarded-path: /internal/reset",
    "x-http-method-override: POST",
    "x-forwarded-host: users",
    "x-forwarded-for: 127.0.0.1",
    "x-user-id: 1",
    "x-is-admin: true",
    "connection: close, authorization",
    "transfer-encoding: identity",
    "upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA",
]

REFUSED = {400, 401, 404, 405, 422}
_QUIET = 0.2  # seconds
INNER = "POST /internal/reset HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"

SMUGGLED = {
    "length and chunks": "content-length: {n}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
    "chunks and length": "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{inner}",
    "two lengths": "content-length: 0\r\ncontent-length: {n}\r\n\r\n{inner}",
    "list of lengths": "content-length: 0, {n}\r\n\r\n{inner}",
    "two codings": "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n{inner}",
    "hidden coding": "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{inner}",
    "space before the colon": "transfer-encoding : chunked\r\n\r\n0\r\n\r\n{inner}",
    "folded coding": "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n{inner}",
    "tab in the coding": "transfer-encoding:\tchunked\r\n\r\n0\r\n\r\n{inner}",
    "sign": "content-length: +0\r\n\r\n{inner}",
    "negative": "content-length: -1\r\n\r\n{inner}",
    "hexadecimal": "content-length: 0x0\r\n\r\n{inner}",
    "chunk size with a sign": "transfer-encoding: chunked\r\n\r\n+0\r\n\r\n{inner}",
    "chunk extension": "transfer-encoding: chunked\r\n\r\n0;x=\n\r\n\r\n{inner}",
    "bare line feeds": "transfer-encoding: chunked\n\n0\n\n{inner}",
    "line break in a header": "x: a\rtransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
    "hop by hop length": "connection: content-length\r\ncontent-length: {n}\r\n\r\n{inner}",
    "body of a GET": "content-length: {n}\r\n\r\n{inner}",
}


@pytest.fixture
def talk(lab: Lab) -> Callable[[str], bytes]:
    """Return a function that sends bytes to the gateway and returns what comes back until it closes or is quiet."""
    gateway = urlsplit(lab.urls["gateway"])

    def send(request: str) -> bytes:
        with socket.create_connection((gateway.hostname or "", gateway.port or 0), timeout=10) as link:
            link.sendall(request.encode())
            answer = b""
            with suppress(TimeoutError, ConnectionResetError):  # a gateway that waits for more has said all it will say
                while piece := link.recv(65536):
                    answer += piece
                    link.settimeout(_QUIET)
        return answer

    return send


@pytest.fixture(scope="module")
def somebodys_order(new_user: Callable[[], Any]) -> int:
    """An order that only its owner and administrators may see."""
    return int(new_user().order()["id"])


@pytest.fixture
def nothing_internal(lab: Lab, client: httpx.Client) -> Callable[[], bool]:
    """Whether no service has got a request on an internal or unknown route since the test began."""

    def count() -> dict[tuple[str, str], float]:
        services = {name: url for name, url in lab.service_urls.items() if name != "gateway"}
        texts = {name: client.get(f"{url}/metrics").text for name, url in services.items()}
        return {(name, route): float(n) for name, text in texts.items() for route, n in INTERNAL.findall(text)}

    before = count()
    return lambda: count() == before


@pytest.mark.parametrize("method", ["GET", "POST", "CONNECT"])
def test_no_spelling_reaches_an_internal_route(lab, admin, talk, nothing_internal, method):
    port = str(urlsplit(lab.urls["users"]).port)
    end = f"authorization: Bearer {admin.token}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
    for target in TARGETS:
        answer = talk(f"{method} {target.replace('{users}', port)} HTTP/1.1\r\nhost: x\r\n{end}")
        allowed = {200} if (method, target) == ("GET", "/api/products/1?/internal/reset") else REFUSED
        assert int(answer.split(b" ", 2)[1]) in allowed, (target, answer)
    assert nothing_internal()


def test_no_header_turns_a_request_into_another(somebodys_order, talk, nothing_internal):
    for header in HEADERS:
        head = f"GET /api/orders/{somebodys_order} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n"
        for identity in ("", "authorization: Bearer nonsense\r\n"):
            answer = talk(f"{head}{identity}\r\n")
            assert int(answer.split(b" ", 2)[1]) in (400, 401), (header, answer)
    assert nothing_internal()


@pytest.mark.parametrize("shape", SMUGGLED)
def test_no_request_hides_in_another(somebodys_order, admin, talk, nothing_internal, shape):
    end = f"{INNER}GET /api/orders/{somebodys_order} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    rest = SMUGGLED[shape].format(n=len(INNER), inner=end)
    for line in ("POST /api/orders", "GET /api/products/1"):
        answer = talk(f"{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {admin.token}\r\n{rest}")
        first, *others = (int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer))
        assert first in (200, 400, 401, 413, 422), line
        assert set(others) <= {400, 401, 404, 405}, "what follows on the connection stands for itself, without a token"
    assert nothing_internal()


def test_a_connection_of_one_user_serves_no_other(user, new_user, talk):
    one = f"GET /api/orders/my-orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {user.token}\r\n\r\n"
    two = "GET /api/orders/my-orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", talk(one + two)) == [b"200", b"401"]


def test_services_want_a_token_on_their_internal_routes(lab):
    for service, url in lab.service_urls.items():
        if service != "chaos":  # on loopback the control plane of a lab answers a plain request
            answer = httpx.post(f"{url}/internal/reset", json={}, trust_env=False)
            assert answer.status_code == 401, service
            headers = {"authorization": f"Bearer {lab.token()}", "x-service-token": lab.token()}
            assert httpx.post(f"{url}/internal/reset", headers=headers, trust_env=False).status_code == 401
