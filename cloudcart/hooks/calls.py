"""What hooks of HTTP clients share: an answer as faults see it, and what travels with a call in a lab.

Used by ``httpx_client`` and ``aiohttp_client``.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from cloudcart.telemetry.context import FAULT_MARK, current

_OF_THE_WIRE: Final = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""Headers that say how a body was sent; a body that was read and changed is sent otherwise."""

Lines = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as faults see it; ``response`` is the client's own."""

    status: int
    headers: Lines
    response: Any


def plain(headers: Lines) -> Lines:
    """Return the headers of an answer whose body is at hand as it is."""
    return [(name, value) for name, value in headers if name not in _OF_THE_WIRE]


def pass_on(headers: MutableMapping[str, str]) -> None:
    """Add what travels with the request that is being served, as services of the shop do, where it is not there."""
    context = current.get()
    if context is not None:
        for name, value in context.outbound_headers().items():
            headers.setdefault(name, value)


def note_marks(headers: Mapping[str, str]) -> None:
    """Note the faults that an answer names, so that our own answer names them, too."""
    context = current.get()
    if context is not None:
        found = headers.get(FAULT_MARK, "").split(",")
        context.marks.extend(mark for mark in found if mark and mark not in context.marks)
