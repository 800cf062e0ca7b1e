"""Which paths are forwarded, and as what; nothing that two programs may read differently."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloudcart.services.gateway.routes import ENDPOINTS, forwarded_target
from cloudcart.telemetry.routes import UNMATCHED, Routes


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        (b"/api/products", b"", "/products"),
        (b"/api/products/7", b"a=1&b=%20", "/products/7?a=1&b=%20"),
        (b"/api/products/category/caf%C3%A9", b"", "/products/category/caf%C3%A9"),
        (b"/api/products/a.b..c", b"", "/products/a.b..c"),
        (b"/api/products/%252e%252e", b"", "/products/%252e%252e"),  # decoded once it is a plain name
    ],
)
def test_forwards_without_the_prefix(path: bytes, query: bytes, target: str) -> None:
    assert forwarded_target(path, query) == target


@pytest.mark.parametrize(
    "path",
    [
        b"", b"/", b"/api", b"/api/", b"/products", b"/apiproducts", b"/metrics", b"/internal/reset",
        b"//api/products", b"/api//products", b"/api/products/", b"/api/products/..", b"/api/../metrics",
        b"/api/./metrics", b"/api/products/%2e%2e/internal", b"/api/%2E", b"/api/products/..%2finternal",
        b"/api/products%2f..%2finternal", b"/api/products/%5c..%5cinternal", b"/api/products/\\..\\internal",
        b"/api/products/%00", b"/api/products/%0d%0a", b"/api/products/\x00", b"/api/products/ 7",
        b"/api/products/%", b"/api/products/%2", b"/api/products/%zz", b"/%61pi/products", b"/api/caf\xc3\xa9",
        b"http://shop/api/products", b"/api/products/7\n", b"/api/products/%7f",
    ],
)  # fmt: skip
def test_what_two_programs_may_read_differently_is_not_forwarded(path: bytes) -> None:
    assert forwarded_target(path, b"") is None


@pytest.mark.parametrize("query", [b"a b", b"a\r\nb", b"\x00", b"caf\xc3\xa9"])
def test_a_query_that_would_break_the_request_line_is_not_forwarded(query: bytes) -> None:
    assert forwarded_target(b"/api/products", query) is None


@given(
    st.lists(st.sampled_from([b"..", b".", b"/", b"%2f", b"%2e", b"%5c", b"\\", b"a", b"7", b"%00", b"internal", b"%"]))
)
@example([b"a", b"/", b"%2e", b"."])
def test_a_forwarded_path_means_what_it_says(parts: list[bytes]) -> None:
    target = forwarded_target(b"/api/" + b"".join(parts), b"")
    if target is not None:
        segments = target.encode().split(b"/")
        assert segments[0] == b""
        for segment in map(unquote_to_bytes, segments[1:]):
            assert segment not in (b"", b".", b"..")
            assert not set(segment) & {0x2F, 0x5C, 0x00, 0x0D, 0x0A}


@given(st.binary(max_size=40))
def test_any_bytes_are_judged(path: bytes) -> None:
    target = forwarded_target(b"/api/" + path, b"")
    assert target is None or (target.startswith("/") and target.isprintable())


def test_every_template_resolves_to_itself_and_nothing_internal_is_on_the_table() -> None:
    routes = Routes(ENDPOINTS)
    for template in ENDPOINTS:
        assert routes.resolve(template.replace("{", "x").replace("}", "x")) == template
        assert template.startswith("/api/")
    for path in ("/api/internal/reset", "/api/metrics", "/api/health", "/api/ready", "/api/docs", "/internal/reset"):
        assert routes.resolve(path) == UNMATCHED
