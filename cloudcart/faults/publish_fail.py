"""``publish_fail``: the broker does not confirm what a service publishes."""

from __future__ import annotations

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import OUTBOX, Contract
from cloudcart.faults.places import Broker


class PublishFail(Fault):
    """A message is not published and its publisher is told so; who has an outbox keeps it and tries again."""

    kind = "publish_fail"
    place = "broker"
    store = "kafka"
    side = "publish"
    contract = Contract(
        "outbox",
        "events stay in the outbox (outbox_pending), and arrive late",
        quantity=OUTBOX,
        at_least=1.0,
        shows_within=2.0,
        clears_within=3.0,
        example={"target": "users"},
    )

    async def act(self, broker: Broker, /) -> None:
        """Fail."""
        await broker.fail()
