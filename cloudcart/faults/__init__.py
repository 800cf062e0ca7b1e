"""What can go wrong: one file per kind of fault, and the catalogue of all of them.

Catalogue, command-line help, JSON Schema and documentation are made from :data:`FAULTS`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from cloudcart.faults import base
from cloudcart.faults.base import MAX_TTL, Contract, Exchange, Fault, Place
from cloudcart.faults.error import Error
from cloudcart.faults.latency import Latency
from cloudcart.faults.link import LINKS, Link, LinkFault
from cloudcart.faults.link_bandwidth import LinkBandwidth
from cloudcart.faults.link_blackhole import LinkBlackhole
from cloudcart.faults.link_down import LinkDown
from cloudcart.faults.link_latency import LinkLatency
from cloudcart.faults.link_reset import LinkReset
from cloudcart.faults.link_slice import LinkSlice
from cloudcart.faults.target import Target
from cloudcart.faults.timeout import Timeout
from cloudcart.settings import SERVICES

__all__ = [
    "FAULTS",
    "LINKS",
    "MAX_TTL",
    "Contract",
    "Error",
    "Exchange",
    "Fault",
    "Latency",
    "Link",
    "LinkBandwidth",
    "LinkBlackhole",
    "LinkDown",
    "LinkFault",
    "LinkLatency",
    "LinkReset",
    "LinkSlice",
    "Place",
    "Target",
    "Timeout",
    "catalogue",
    "parse_fault",
]

FAULTS: Final[Mapping[str, type[Fault]]] = MappingProxyType(
    {
        "error": Error,
        "latency": Latency,
        "link_bandwidth": LinkBandwidth,
        "link_blackhole": LinkBlackhole,
        "link_down": LinkDown,
        "link_latency": LinkLatency,
        "link_reset": LinkReset,
        "link_slice": LinkSlice,
        "timeout": Timeout,
    }
)
"""Name to class, for every kind there is."""


def parse_fault(document: Mapping[str, object], *, services: Collection[str] | None = tuple(SERVICES)) -> Fault:
    """Return the fault that a flat document describes; see :func:`cloudcart.faults.base.parse_fault`.

    Its target must be a service of the shop, unless ``services`` names others, or is None for any application.
    """
    return base.parse_fault(document, FAULTS, services)


def catalogue() -> list[dict[str, object]]:
    """Return every kind with its parameters (JSON Schema), what it acts on, what it needs, and its contract."""
    return [
        {
            "kind": name,
            "acts_on": kind.place,
            "description": (kind.__doc__ or "").strip().splitlines()[0],
            "parameters": kind.model_json_schema(),
            "needs": kind.needs,
            "contract": {name: getattr(kind.contract, name) for name in kind.contract.__slots__},
        }
        for name, kind in sorted(FAULTS.items())
    ]
