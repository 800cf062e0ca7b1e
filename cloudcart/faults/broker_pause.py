"""``broker_pause``: the broker's process stands still and goes on afterwards, its messages as they were."""

from __future__ import annotations

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import OUTBOX, Contract
from cloudcart.faults.places import Administrator


class BrokerPause(Fault):
    """SIGSTOP until the fault ends, then SIGCONT: connections stay open and nobody answers. The target is ``kafka``.

    The lab's supervisor lets the broker go on by itself when the control plane has been silent for 5 s.
    """

    kind = "broker_pause"
    place = "broker"
    store = "kafka"
    standing = True
    carried_out_by = "chaos"
    on_whole_store = True
    needs = "a broker that the lab itself has started, as embedded or in containers"
    contract = Contract(
        "outbox",
        "events stay in the outboxes (outbox_pending), and arrive late",
        quantity=OUTBOX,
        at_least=1.0,
        shows_within=2.0,
        clears_within=5.0,
        example={"target": "kafka"},
    )

    async def act(self, administrator: Administrator, /) -> None:
        """Hold it."""
        await administrator.pause_broker()

    @property
    def label(self) -> str:
        """What a chart writes on the fault's window."""
        return "broker of kafka paused"
