"""``duplicate``: a message is published twice, as after a confirmation that was lost."""

from __future__ import annotations

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import IGNORED, Contract
from cloudcart.faults.places import Broker


class Duplicate(Fault):
    """The same message, byte for byte, a second time; a consumer that handles it twice has a defect."""

    kind = "duplicate"
    place = "broker"
    store = "kafka"
    side = "publish"
    contract = Contract(
        "events",
        "kafka_events_consumed_total{outcome=ignored} grows by one each",
        quantity=IGNORED,
        at_least=1.0,
        shows_within=2.0,
        clears_within=2.0,
        example={"target": "kafka:user.created"},
    )

    async def act(self, broker: Broker, /) -> None:
        """Forward twice."""
        await broker.forward()
        await broker.forward()

    @property
    def label(self) -> str:
        """As ``messages of orders doubled``."""
        return f"messages of {self.aim} doubled"
