"""Which faults a lab cannot carry out though another one could, and why: such a scenario is skipped, never silently.

Asked before a run. Not here: faults that make no sense anywhere; the control plane refuses those.
"""

from __future__ import annotations

from typing import Final

from cloudcart.faults import Fault
from cloudcart.settings import Settings

_BY_SUPERVISOR: Final = ("kill", "pause", "broker_kill", "broker_pause")


def why_not(fault: Fault, backend: str, settings: Settings) -> str | None:
    """Return why a lab of ``backend`` with ``settings`` cannot carry out ``fault``; None when it can."""
    on_broker = fault.kind == "broker_kill" or (fault.place == "link" and fault.target.link == "kafka")
    if on_broker and not settings.stores.kafka_durable:
        return "it needs Apache Kafka, as in containers or with CLOUDCART_KAFKA_HOME, and here is the mock broker"
    if fault.kind in _BY_SUPERVISOR and backend == "external" and not settings.chaos.supervisor:
        return "nobody there can pause or kill a process"
    return None
