"""Toxiproxy's toxics said as faults of links, and the four of them that no kind of our own says.

Toxiproxy draws once for each connection, and its toxics stay until they are removed; both are kept. Attributes are in
milliseconds, kilobytes a second and microseconds, as there. Called by ``chaos.links.toxiproxy``. Format:
https://github.com/Shopify/toxiproxy#toxics
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import Field, ValidationError

from cloudcart.exceptions import FaultError
from cloudcart.faults import LinkBandwidth, LinkLatency, LinkSlice
from cloudcart.faults.base import first_mistake
from cloudcart.faults.contract import Contract
from cloudcart.faults.link import Link, LinkFault
from cloudcart.units import Duration

TARGET: Final = "client->upstream"
_CONTRACT: Final = Contract("errors", "as Toxiproxy documents it", shows_within=1.0, clears_within=1.0)
Attributes = Mapping[str, Any]


class _Toxic(LinkFault):
    contract = _CONTRACT
    drawn_per = "connection"


class Timeout(_Toxic):
    """No data get through, and the connection is closed after a time; 0: not before the toxic is removed."""

    kind = "timeout"
    after: Duration = Field(description="until the connection is closed")

    def act_on_link(self, link: Link) -> None:
        """Lose the bytes; begin to count when the connection opens."""
        link.keep(0)
        if self.after:
            link.close(self.after)


class ResetPeer(_Toxic):
    """The connection is cut by RST after a time."""

    kind = "reset_peer"
    timeout: Duration = Field(description="until the connection is cut")

    def act_on_link(self, link: Link) -> None:
        """Begin to count when the connection opens."""
        link.keep(0)
        link.reset(self.timeout)


class SlowClose(_Toxic):
    """The end of the stream comes later."""

    kind = "slow_close"
    delay: Duration = Field(description="by how much")

    def act_on_link(self, link: Link) -> None:
        """Bytes are not concerned."""

    def act_on_end(self, link: Link) -> None:
        """Delay."""
        link.delay(self.delay)


class LimitData(_Toxic):
    """The connection is closed when so many bytes have passed."""

    kind = "limit_data"
    bytes: int = Field(ge=0, description="how many pass")

    def act_on_link(self, link: Link) -> None:
        """Let the rest of the allowance pass, and close when it is used up."""
        if link.passed + link.size >= self.bytes:
            link.keep(max(0, self.bytes - link.passed))
            link.close(0.0)


_MILLISECOND: Final = 1e-3
_MAKE: Final[Mapping[str, tuple[Attributes, Callable[[Attributes, Attributes], LinkFault]]]] = {
    "latency": (
        {"latency": 0, "jitter": 0},
        lambda a, shared: LinkLatency(latency=a["latency"] * _MILLISECOND, jitter=a["jitter"] * _MILLISECOND, **shared),
    ),
    "bandwidth": ({"rate": 0}, lambda a, shared: _bandwidth(a["rate"], shared)),
    "slow_close": ({"delay": 0}, lambda a, shared: SlowClose(delay=a["delay"] * _MILLISECOND, **shared)),
    "timeout": ({"timeout": 0}, lambda a, shared: Timeout(after=a["timeout"] * _MILLISECOND, **shared)),
    "reset_peer": ({"timeout": 0}, lambda a, shared: ResetPeer(timeout=a["timeout"] * _MILLISECOND, **shared)),
    "slicer": (
        {"average_size": 0, "size_variation": 0, "delay": 0},
        lambda a, shared: LinkSlice(
            size=max(1, a["average_size"]), variation=a["size_variation"], pause=a["delay"] * 1e-6, **shared
        ),
    ),
    "limit_data": ({"bytes": 0}, lambda a, shared: LimitData(bytes=a["bytes"], **shared)),
}


def _bandwidth(kilobytes: float, shared: Attributes) -> LinkFault:
    return LinkBandwidth(rate=kilobytes * 1000, **shared) if kilobytes else Timeout(after=0.0, **shared)


def attributes_of(kind: str, given: Attributes) -> dict[str, Any]:
    """Return the attributes of a toxic, defaults included; raises FaultError for a kind that there is not."""
    if kind not in _MAKE:
        raise FaultError(f"invalid toxic type: {kind!r}; there are {', '.join(sorted(_MAKE))}")
    defaults = _MAKE[kind][0]
    return {name: given.get(name, default) for name, default in defaults.items()}


def as_fault(kind: str, attributes: Attributes, *, stream: str, toxicity: float, more: Attributes) -> LinkFault:
    """Return the fault that a toxic is.

    Args:
        kind: Toxiproxy's ``type``.
        attributes: all of them, as :func:`attributes_of` returns them.
        stream: upstream or downstream.
        toxicity: share of connections that are hit.
        more: ``ttl``, ``seed`` and ``per``, which Toxiproxy has not.

    Raises:
        FaultError: a value makes no sense.
    """
    shared = {"target": TARGET, "stream": stream, "probability": toxicity, "per": "connection", "ttl": 3600.0, **more}
    try:
        return _MAKE[kind][1](attributes, shared)
    except ValidationError as error:
        raise FaultError(f"bad request body: {first_mistake(error, LinkFault)}") from None
