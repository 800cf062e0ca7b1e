"""``consumer_pause``: a consumer stops at the first message it is given, and goes on where it was when healed."""

from __future__ import annotations

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import LAG, Contract
from cloudcart.faults.places import Broker


class ConsumerPause(Fault):
    """No message is handled; the consumer stays a member of its group. All its topics wait behind the held one."""

    kind = "consumer_pause"
    place = "broker"
    store = "kafka"
    side = "consume"
    contract = Contract(
        "lag",
        "consumer lag grows with every message published",
        quantity=LAG,
        at_least=1.0,
        shows_within=3.0,
        clears_within=3.0,
        example={"target": "kafka:user.created"},
    )

    async def act(self, broker: Broker, /) -> None:
        """Hold the message for as long as the fault lasts."""
        await broker.delay(self.ttl)
        await broker.forward()

    @property
    def label(self) -> str:
        """As ``consumer of notifications paused``."""
        return f"consumer of {self.aim} paused"
