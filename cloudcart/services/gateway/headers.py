"""Which headers pass the gateway, in each direction, and which it adds.

Stripped are those that belong to one connection (RFC 9110, section 7.6.1) and those by which a client could pretend to
be somebody: identity, proxy and service headers. What travels on purpose (request id, trace, the lab's headers) is
added again by ``services.http_client`` from the request's context.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

Pair = tuple[bytes, bytes]

_HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)
# Framing and host are made anew by the client; the one Authorization that was checked is added again. Bodies are kept
# uncompressed, so that a cached list fits everybody.
_MADE_HERE: Final = frozenset(b"accept-encoding authorization content-length expect host http2-settings".split())
_SPOOFED: Final = (
    b"forwarded", b"traceparent", b"tracestate", b"x-admin", b"x-auth", b"x-client-", b"x-cloudcart-", b"x-forwarded-",
    b"x-http-method", b"x-internal", b"x-is-admin", b"x-method-override", b"x-original-", b"x-principal", b"x-real-ip",
    b"x-remote-", b"x-request-id", b"x-rewrite-", b"x-role", b"x-service-", b"x-user",
)  # fmt: skip
_OWN_OR_PRIVATE: Final = (
    b"access-control-", b"content-length", b"date", b"server", b"x-cloudcart-", b"x-powered-by", b"x-request-id",
)  # fmt: skip
_PLAIN_CONNECTION: Final = frozenset({b"close", b"keep-alive", b"Keep-Alive"})
_WITH_PATH: Final = frozenset({b"link", b"location"})

SECURITY_HEADERS: Final[tuple[Pair, ...]] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"origin-agent-cluster", b"?1"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-dns-prefetch-control", b"off"),
    (b"x-download-options", b"noopen"),
    (b"x-frame-options", b"DENY"),
    (b"x-permitted-cross-domain-policies", b"none"),
    (b"x-xss-protection", b"0"),
)
"""What Helmet sets, for answers that are data and never pages."""


def for_upstream(pairs: Iterable[Pair], headers: Mapping[bytes, bytes]) -> list[Pair]:
    """Return those headers of a request that a service may see.

    Args:
        pairs: lower-case names and values, as ASGI has them.
        headers: the same as a mapping, in which the last of several wins.
    """
    passing = [pair for pair in pairs if _passes_inwards(pair[0])]
    authorization = headers.get(b"authorization")
    if authorization is not None:
        passing.append((b"authorization", authorization))
    connection = headers.get(b"connection", b"close")
    if connection not in _PLAIN_CONNECTION:
        named = {token.strip().lower() for token in connection.split(b",")}  # these belong to the connection, too
        passing = [pair for pair in passing if pair[0] not in named]
    return passing


def for_client(headers: Iterable[Pair]) -> list[Pair]:
    """Return those answer headers that a client may see, with the paths of links as the client knows them."""
    return [
        (name, _with_prefix(value)) if name in _WITH_PATH else (name, value)
        for name, value in headers
        if _passes_outwards(name)
    ]


def _with_prefix(value: bytes) -> bytes:
    value = value.replace(b"</", b"</api/")
    return b"/api" + value if value.startswith(b"/") else value


@lru_cache(1024)  # names repeat; what a name is does not change
def _passes_inwards(name: bytes) -> bool:
    return name not in _HOP_BY_HOP and name not in _MADE_HERE and not name.startswith(_SPOOFED)


@lru_cache(1024)
def _passes_outwards(name: bytes) -> bool:
    return name not in _HOP_BY_HOP and not name.startswith(_OWN_OR_PRIVATE)


class Cors:
    """Cross-origin requests: origins on the list may read answers, others get no permission.

    There are no cookies, so credentials are never allowed.
    """

    _EXPOSED: Final = b"Age, Link, Location, Retry-After, X-CloudCart-Fault, X-Request-Id, X-Total-Count"
    _ACCEPTED: Final = b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Traceparent"

    def __init__(self, origins: Iterable[str]) -> None:
        self._permissions: Mapping[bytes, tuple[Pair, ...]] = MappingProxyType(
            {
                origin.encode(): (
                    (b"access-control-allow-origin", origin.encode()),
                    (b"access-control-expose-headers", self._EXPOSED),
                    (b"vary", b"Origin"),
                )
                for origin in origins
            }
        )

    def permission(self, origin: bytes) -> tuple[Pair, ...]:
        """Return the headers that let a page of ``origin`` read an answer; none for strangers."""
        return self._permissions.get(origin, ((b"vary", b"Origin"),))

    def allows(self, origin: bytes) -> bool:
        """Return whether ``origin`` is on the list."""
        return origin in self._permissions

    def preflight(self, methods: str) -> list[Pair]:
        """Return the further headers of the answer to a preflight request."""
        return [
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", self._ACCEPTED),
            (b"access-control-max-age", b"600"),
        ]
