"""Which faults a lab cannot carry out though another one could, and why: such a scenario is skipped, never silently.

Asked before a run. Not here: faults that make no sense anywhere; the control plane refuses those.
"""

from __future__ import annotations

from typing import Final

from cloudcart.faults import Fault
from cloudcart.settings import SERVICES, Settings

_BY_SUPERVISOR: Final = ("kill", "pause", "broker_kill", "broker_pause")


def why_not(fault: Fault, backend: str, settings: Settings) -> str | None:
    """Return why a lab of ``backend`` with ``settings`` cannot carry out ``fault``; None when it can."""
    on_broker = fault.kind == "broker_kill" or (fault.place == "link" and fault.target.link == "kafka")
    if on_broker and not settings.stores.kafka_durable:
        return "it needs Apache Kafka, as in containers or with CLOUDCART_KAFKA_HOME, and here is the mock broker"
    if fault.kind in _BY_SUPERVISOR and backend == "external" and not settings.chaos.supervisor:
        return "nobody there can pause or kill a process"
    return _no_replica(fault, settings) if backend in ("embedded", "containers") else None


def _no_replica(fault: Fault, settings: Settings) -> str | None:
    """Return that a lab which was started here has no such replica, if so; of another lab that is not known."""
    service = fault.target.service
    if fault.replica is None or service not in SERVICES or fault.replica < (count := settings.replicas_of(service)):
        return None
    how = "no setting gives it more" if service != "products" else f"--set products.replicas={fault.replica + 1} does"
    return f"it is for replica {fault.replica} of {service}, numbered from 0, which has {count} here; {how}"
