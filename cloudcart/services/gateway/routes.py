"""What the gateway lets through, to whom, and where: one table. Everything else is a 404 that no service ever sees.

Also the one place where a request target is judged: only paths whose meaning is the same for the gateway and for the
service behind it are forwarded. Not here: how they are forwarded (``upstream``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from cloudcart.settings import ServiceName


class Access(Enum):
    """Who may call."""

    ANYBODY = 0
    USER = 1
    ADMIN = 2


ANYBODY, USER, ADMIN = Access

TimeLimit = Literal["timeout", "timeout_password", "timeout_pay"]
"""A setting of the gateway that says how long one attempt at an upstream may take."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route template: the service behind it and who may use which method. The service judges again."""

    upstream: ServiceName
    methods: Mapping[str, Access]
    cached: bool = False  # a product list
    streamed: bool = False  # server-sent events, which have the time allowed to begin
    timeout: TimeLimit = "timeout"  # which setting is the time allowed for one attempt


def _at(
    upstream: ServiceName,
    *,
    cached: bool = False,
    streamed: bool = False,
    timeout: TimeLimit = "timeout",
    **methods: Access,
) -> Endpoint:
    return Endpoint(upstream, MappingProxyType(methods), cached, streamed, timeout)


ENDPOINTS: Final[Mapping[str, Endpoint]] = MappingProxyType(
    {
        "/api/auth/register": _at("users", POST=ANYBODY, timeout="timeout_password"),
        "/api/auth/login": _at("users", POST=ANYBODY, timeout="timeout_password"),
        "/api/auth/validate": _at("users", GET=USER),
        "/api/auth/jwks": _at("users", GET=ANYBODY),
        "/api/users": _at("users", GET=ADMIN, POST=ADMIN),
        "/api/users/{id}": _at("users", GET=USER, PUT=USER, DELETE=ADMIN),
        "/api/products": _at("products", GET=ANYBODY, POST=ADMIN, cached=True),
        "/api/products/category/{category}": _at("products", GET=ANYBODY, cached=True),
        "/api/products/{id}": _at("products", GET=ANYBODY, PUT=ADMIN, DELETE=ADMIN),
        "/api/products/{id}/stock": _at("products", PATCH=ADMIN),
        "/api/orders": _at("orders", GET=ADMIN, POST=USER),
        "/api/orders/my-orders": _at("orders", GET=USER),
        "/api/orders/{id}": _at("orders", GET=USER),
        "/api/orders/{id}/status": _at("orders", PATCH=USER),
        "/api/orders/{id}/pay": _at("orders", POST=USER, timeout="timeout_pay"),
        "/api/notifications": _at("notifications", GET=USER),
        "/api/notifications/stream": _at("notifications", GET=USER, streamed=True),
        "/api/chaos/config": _at("chaos", GET=ADMIN, PUT=ADMIN),
        "/api/chaos/inject/{kind}": _at("chaos", POST=ADMIN),
        "/api/chaos/enable": _at("chaos", POST=ADMIN),
        "/api/chaos/disable": _at("chaos", POST=ADMIN),
        "/api/chaos/reset": _at("chaos", POST=ADMIN),
        "/api/chaos/test/{kind}": _at("chaos", GET=ADMIN),
        "/api/chaos/faults": _at("chaos", GET=ADMIN, POST=ADMIN, DELETE=ADMIN),
        "/api/chaos/faults/{id}": _at("chaos", GET=ADMIN, PATCH=ADMIN, DELETE=ADMIN),
        "/api/chaos/catalogue": _at("chaos", GET=ADMIN),
        "/api/chaos/targets": _at("chaos", GET=ADMIN),
    }
)
"""Route template to endpoint."""

_PREFIX: Final = b"/api"
# RFC 3986 pchar without percent signs; no empty segment, none of one or two dots.
_PLAIN: Final = re.compile(rb"/api(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
_ENCODED: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")
_QUERY: Final = re.compile(rb"[!-~]*")
_FORBIDDEN: Final = re.compile(rb"[/\\\x00-\x1f\x7f]")  # however it was written


@lru_cache(4096)  # the addresses of a shop repeat
def forwarded_target(raw_path: bytes, query: bytes) -> str | None:
    """Return the target for the service behind the gateway, or None if it must not be forwarded.

    Refused are targets that two programs may read differently: dot segments, empty segments, encoded slashes and
    backslashes, control bytes, malformed escapes, and what does not begin with a plain ``/api/``.
    """
    if not _PLAIN.fullmatch(raw_path) and not _is_safe(raw_path):
        return None
    path = raw_path[len(_PREFIX) :].decode("ascii")
    if not query:
        return path
    return f"{path}?{query.decode('ascii')}" if _QUERY.fullmatch(query) else None


def _is_safe(raw_path: bytes) -> bool:
    if not raw_path.startswith(_PREFIX + b"/"):
        return False
    return all(map(_is_safe_segment, raw_path[len(_PREFIX) + 1 :].split(b"/")))


def _is_safe_segment(segment: bytes) -> bool:
    if not _ENCODED.fullmatch(segment):
        return False
    meaning = unquote_to_bytes(segment)
    return meaning not in (b".", b"..") and not _FORBIDDEN.search(meaning)
