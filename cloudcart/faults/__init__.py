"""What can go wrong: one file per kind of fault, and the catalogue of all of them.

Catalogue, command-line help, JSON Schema and documentation are made from :data:`FAULTS`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from cloudcart.faults import base
from cloudcart.faults.base import MAX_TTL, Contract, Exchange, Fault, Place, Process
from cloudcart.faults.clock_skew import ClockSkew
from cloudcart.faults.corrupt import Corrupt
from cloudcart.faults.cpu_burn import CpuBurn
from cloudcart.faults.error import Error
from cloudcart.faults.failed_readiness import FailedReadiness
from cloudcart.faults.fd_leak import FdLeak
from cloudcart.faults.kill import Kill
from cloudcart.faults.latency import Latency
from cloudcart.faults.loop_block import LoopBlock
from cloudcart.faults.memory_leak import MemoryLeak
from cloudcart.faults.pause import Pause
from cloudcart.faults.quota import Quota
from cloudcart.faults.reset import Reset
from cloudcart.faults.slow_body import SlowBody
from cloudcart.faults.target import Target
from cloudcart.faults.timeout import Timeout
from cloudcart.settings import SERVICES

__all__ = [
    "FAULTS",
    "MAX_TTL",
    "ClockSkew",
    "Contract",
    "Corrupt",
    "CpuBurn",
    "Error",
    "Exchange",
    "FailedReadiness",
    "Fault",
    "FdLeak",
    "Kill",
    "Latency",
    "LoopBlock",
    "MemoryLeak",
    "Pause",
    "Place",
    "Process",
    "Quota",
    "Reset",
    "SlowBody",
    "Target",
    "Timeout",
    "catalogue",
    "parse_fault",
]

FAULTS: Final[Mapping[str, type[Fault]]] = MappingProxyType(
    {
        "corrupt": Corrupt,
        "error": Error,
        "latency": Latency,
        "quota": Quota,
        "reset": Reset,
        "slow_body": SlowBody,
        "clock_skew": ClockSkew,
        "cpu_burn": CpuBurn,
        "failed_readiness": FailedReadiness,
        "fd_leak": FdLeak,
        "kill": Kill,
        "loop_block": LoopBlock,
        "memory_leak": MemoryLeak,
        "pause": Pause,
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
