"""``failed_readiness``: the service says that it is not ready, and serves all the same."""

from __future__ import annotations

from cloudcart.faults.base import Fault, Process
from cloudcart.faults.contract import REFUSED_READINESS, Contract


class FailedReadiness(Fault):
    """``/ready`` answers 503: an orchestrator or load balancer takes the service away, though nothing is wrong."""

    kind = "failed_readiness"
    place = "process"
    contract = Contract(
        "readiness",
        "/ready answers 503",
        quantity=REFUSED_READINESS,
        at_least=0.5,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products"},
    )

    async def act_in(self, process: Process) -> None:
        """Refuse until the end."""
        process.refuse_readiness(True)
        try:
            process.hit()
            await process.stay()
        finally:
            process.refuse_readiness(False)
