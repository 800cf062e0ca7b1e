"""What can go wrong: one file per kind of fault, and the catalogue of all of them.

Catalogue, command-line help, JSON Schema and documentation are made from :data:`FAULTS`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from cloudcart.faults import base
from cloudcart.faults.bad_deploy import BadDeploy
from cloudcart.faults.base import MAX_TTL, Exchange, Fault, Place, Process
from cloudcart.faults.broker_kill import BrokerKill
from cloudcart.faults.broker_pause import BrokerPause
from cloudcart.faults.clock_skew import ClockSkew
from cloudcart.faults.consumer_pause import ConsumerPause
from cloudcart.faults.contract import Contract
from cloudcart.faults.corrupt import Corrupt
from cloudcart.faults.cpu_burn import CpuBurn
from cloudcart.faults.db_kill_connections import DbKillConnections
from cloudcart.faults.db_lock import DbLock
from cloudcart.faults.db_pool_drain import DbPoolDrain
from cloudcart.faults.db_slow_query import DbSlowQuery
from cloudcart.faults.duplicate import Duplicate
from cloudcart.faults.error import Error
from cloudcart.faults.failed_readiness import FailedReadiness
from cloudcart.faults.fd_leak import FdLeak
from cloudcart.faults.kill import Kill
from cloudcart.faults.latency import Latency
from cloudcart.faults.link import LINKS, Link, LinkFault
from cloudcart.faults.link_bandwidth import LinkBandwidth
from cloudcart.faults.link_blackhole import LinkBlackhole
from cloudcart.faults.link_down import LinkDown
from cloudcart.faults.link_latency import LinkLatency
from cloudcart.faults.link_reset import LinkReset
from cloudcart.faults.link_slice import LinkSlice
from cloudcart.faults.loop_block import LoopBlock
from cloudcart.faults.memory_leak import MemoryLeak
from cloudcart.faults.pause import Pause
from cloudcart.faults.poison_message import PoisonMessage
from cloudcart.faults.publish_delay import PublishDelay
from cloudcart.faults.publish_fail import PublishFail
from cloudcart.faults.quota import Quota
from cloudcart.faults.redis_flush import RedisFlush
from cloudcart.faults.redis_slow import RedisSlow
from cloudcart.faults.reset import Reset
from cloudcart.faults.slow_body import SlowBody
from cloudcart.faults.slow_consumer import SlowConsumer
from cloudcart.faults.target import Target
from cloudcart.faults.timeout import Timeout
from cloudcart.settings import SERVICES

__all__ = [
    "FAULTS",
    "LINKS",
    "MAX_TTL",
    "BadDeploy",
    "BrokerKill",
    "BrokerPause",
    "ClockSkew",
    "ConsumerPause",
    "Contract",
    "Corrupt",
    "CpuBurn",
    "DbKillConnections",
    "DbLock",
    "DbPoolDrain",
    "DbSlowQuery",
    "Duplicate",
    "Error",
    "Exchange",
    "FailedReadiness",
    "Fault",
    "FdLeak",
    "Kill",
    "Latency",
    "Link",
    "LinkBandwidth",
    "LinkBlackhole",
    "LinkDown",
    "LinkFault",
    "LinkLatency",
    "LinkReset",
    "LinkSlice",
    "LoopBlock",
    "MemoryLeak",
    "Pause",
    "Place",
    "PoisonMessage",
    "Process",
    "PublishDelay",
    "PublishFail",
    "Quota",
    "RedisFlush",
    "RedisSlow",
    "Reset",
    "SlowBody",
    "SlowConsumer",
    "Target",
    "Timeout",
    "parse_fault",
]

FAULTS: Final[Mapping[str, type[Fault]]] = MappingProxyType(
    {
        "bad_deploy": BadDeploy,
        "broker_kill": BrokerKill,
        "broker_pause": BrokerPause,
        "consumer_pause": ConsumerPause,
        "db_kill_connections": DbKillConnections,
        "db_lock": DbLock,
        "db_pool_drain": DbPoolDrain,
        "db_slow_query": DbSlowQuery,
        "duplicate": Duplicate,
        "poison_message": PoisonMessage,
        "publish_delay": PublishDelay,
        "publish_fail": PublishFail,
        "redis_flush": RedisFlush,
        "redis_slow": RedisSlow,
        "slow_consumer": SlowConsumer,
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
