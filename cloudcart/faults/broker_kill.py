"""``broker_kill``: the broker's process dies and is started again with the messages it had on disk."""

from __future__ import annotations

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import OUTBOX, Contract


class BrokerKill(Fault):
    """SIGKILL, only where the broker's messages survive it. No backend offers that so far: it is refused everywhere."""

    kind = "broker_kill"
    place = "broker"
    store = "kafka"
    standing = True
    carried_out_by = "chaos"
    on_whole_store = True
    needs = "a broker that keeps its messages on disk; the embedded lab's mock broker would lose them"
    contract = Contract(
        "outbox",
        "events stay in the outboxes until it is back",
        quantity=OUTBOX,
        at_least=1.0,
        shows_within=2.0,
        clears_within=10.0,
        example={"target": "kafka"},
    )
