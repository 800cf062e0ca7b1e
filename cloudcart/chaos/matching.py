"""Which faults could hit a piece of work, found without looking at each fault.

Everything that does not change from request to request (route, method, direction) is resolved once per combination;
headers and users are looked up by name. Used by ``chaos.active`` alone.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from cloudcart.faults import Fault, Place
from cloudcart.telemetry.context import USER
from cloudcart.telemetry.routes import UNMATCHED, Routes

_PROBES: Final = ("/health", "/ready", "/metrics", "/healthz", "/readyz", "/livez")
EXEMPT: Final = frozenset({*_PROBES, "/internal/reset", "/internal/prepare-users"})
EXEMPT_PREFIXES: Final = ("/internal/chaos/", "/chaos/", "/api/chaos/")
"""Routes that no fault hits unless it names them: a probe that fails takes the service away, a fault on the control
routes cannot be healed. Calls between services that do the shop's business, such as taking stock, are not exempt."""

_USER: Final = USER.encode()
_CACHED: Final = 1024  # combinations of direction, method and route that are remembered

Headers = Sequence[tuple[bytes, bytes]]
Record = TypeVar("Record")


@dataclass(slots=True)
class Work:
    """One piece of work as a matcher sees it: an inbound request, an outbound call, a message, a statement of a store.

    ``route`` is the route template, or the path where no template is known. ``peer`` is the service or store that it
    goes to, ``topic`` what a message was read from or is published on.
    """

    direction: Literal["inbound", "outbound"]
    method: str
    route: str
    headers: Headers = ()
    peer: str = ""
    topic: str = ""
    place: Place = "exchange"


class RouteIndex(Generic[Record]):
    """Faults arranged for quick look-up; made anew whenever the set changes."""

    __slots__ = ("_cache", "_faults")

    def __init__(self, faults: Iterable[tuple[Record, Fault]]) -> None:
        self._faults = [pair for pair in faults if not pair[1].standing]
        self._cache: dict[tuple[str, ...], _Group[Record]] = {}

    def find(self, work: Work) -> Sequence[Record]:
        """Return the records that match, in the order in which they were given."""
        if not self._faults:
            return ()
        combination = (work.place, work.direction, work.method, work.route, work.peer, work.topic)
        group = self._cache.get(combination)
        if group is None:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            group = self._cache[combination] = _Group(
                [(place, *pair) for place, pair in enumerate(self._faults) if could_hit(pair[1], work)]
            )
        return group.find(work.headers)


class _Group(Generic[Record]):
    """The faults of one route: those that always match, and those that depend on a header or the user."""

    __slots__ = ("_always", "_by_header", "_by_user", "_fixed")

    def __init__(self, faults: list[tuple[int, Record, Fault]]) -> None:
        self._always: list[tuple[int, Record]] = []
        self._by_header: dict[bytes, list[tuple[int, Record, Fault]]] = {}
        self._by_user: dict[int | None, list[tuple[int, Record]]] = {}
        for place, record, fault in faults:
            if fault.header is not None:
                self._by_header.setdefault(_header_name(fault), []).append((place, record, fault))
            elif fault.user is not None:
                self._by_user.setdefault(fault.user, []).append((place, record))
            else:
                self._always.append((place, record))
        self._fixed = tuple(record for _, record in self._always)

    def find(self, headers: Headers) -> Sequence[Record]:
        if not self._by_header and not self._by_user:
            return self._fixed
        found = list(self._always)
        if self._by_header:
            found += self._matching_headers(headers)
        if self._by_user:
            found += self._by_user.get(user_of(headers), ())
        found.sort(key=lambda entry: entry[0])
        return [record for _, record in found]

    def _matching_headers(self, headers: Headers) -> Iterable[tuple[int, Record]]:
        found: dict[int, Record] = {}  # a header may come twice; its fault acts once
        for name, value in headers:
            for place, record, fault in self._by_header.get(name, ()):
                user_fits = fault.user is None or fault.user == user_of(headers)
                if _value_fits(fault, value) and user_fits:
                    found[place] = record
        return found.items()


def could_hit(fault: Fault, work: Work) -> bool:
    """Return whether everything but header and user fits."""
    target = fault.target
    if fault.place != work.place:
        return False
    if work.place == "store":
        return fault.store == work.peer
    if work.place == "broker":
        side = "consume" if work.direction == "inbound" else "publish"
        return fault.side == side and target.topic in (None, work.topic)
    if fault.method is not None and fault.method != work.method:
        return False
    if target.topic is not None:
        return work.topic == target.topic
    if work.topic:
        return not fault.needs_answer and target.route is None and target.link is None and fault.direction == "inbound"
    outbound = fault.direction == "outbound" or target.link is not None
    if outbound != (work.direction == "outbound") or (target.link is not None and target.link != work.peer):
        return False
    if target.route is not None:
        return target.route == work.route or Routes([target.route]).resolve(work.route) != UNMATCHED
    return work.route not in EXEMPT and not work.route.startswith(EXEMPT_PREFIXES)


def user_of(headers: Headers) -> int | None:
    """Return the user id that a bearer token claims, or on calls between services the header that passes it on.

    The signature is not checked: a matcher only chooses whom a fault hits, the service itself still verifies.
    """
    passed_on = None
    for name, value in headers:
        if name == _USER and value.isdigit():
            passed_on = int(value)
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            parts = value[7:].split(b".")
            if len(parts) != 3:
                return None
            try:
                claims = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
                return int(claims["sub"])
            except (binascii.Error, ValueError, KeyError, TypeError):
                return None
    return passed_on


def _header_name(fault: Fault) -> bytes:
    assert fault.header is not None
    return fault.header.partition("=")[0].strip().lower().encode("latin-1", "replace")


def _value_fits(fault: Fault, value: bytes) -> bool:
    assert fault.header is not None
    _, equals, wanted = fault.header.partition("=")
    return not equals or wanted.strip() == value.decode("latin-1")
