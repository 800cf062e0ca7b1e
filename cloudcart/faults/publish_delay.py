"""``publish_delay``: what a service publishes reaches the broker later."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.contract import END_TO_END, Contract
from cloudcart.faults.delaying import DelayingFault
from cloudcart.units import Duration


class PublishDelay(DelayingFault):
    """A delay before each message that is published; messages of one batch are delayed together."""

    kind = "publish_delay"
    of_what = "to publish"
    place = "broker"
    store = "kafka"
    side = "publish"
    contract = Contract(
        "end-to-end",
        "event_end_to_end_seconds grows by the delay",
        quantity=END_TO_END,
        at_least=1.2,
        shows_within=5.0,
        clears_within=5.0,
        example={"target": "users", "delay": "2s"},
    )

    delay: Duration = Field(0.5, gt=0, description="how much later each message is published")
