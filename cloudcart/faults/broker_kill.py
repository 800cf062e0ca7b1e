"""``broker_kill``: the broker's process dies and is started again with the messages it had on disk."""

from __future__ import annotations

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import OUTBOX, Contract
from cloudcart.faults.places import Administrator


class BrokerKill(Fault):
    """SIGKILL, only where messages survive it: in containers, or with real Apache Kafka. The target is ``kafka``.

    It stays down until the fault ends; the lab's supervisor starts it again by itself when the control plane has been
    silent for 5 s.
    """

    kind = "broker_kill"
    place = "broker"
    store = "kafka"
    standing = True
    carried_out_by = "chaos"
    on_whole_store = True
    needs = (
        "a broker that keeps its messages on disk: the containers backend, or Apache Kafka in CLOUDCART_KAFKA_HOME; "
        "the embedded lab's mock broker would lose them"
    )
    contract = Contract(
        "outbox",
        "events stay in the outboxes until it is back",
        quantity=OUTBOX,
        at_least=1.0,
        shows_within=2.0,
        clears_within=15.0,
        example={"target": "kafka"},
    )

    async def act(self, administrator: Administrator, /) -> None:
        """Hold it down."""
        await administrator.kill_broker()

    @property
    def label(self) -> str:
        """What a chart writes on the fault's window."""
        return "broker of kafka killed"
