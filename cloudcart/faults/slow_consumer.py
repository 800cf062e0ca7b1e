"""``slow_consumer``: a consumer takes longer for each message, so that it falls behind."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.contract import LAG, Contract
from cloudcart.faults.delaying import DelayingFault
from cloudcart.units import Duration


class SlowConsumer(DelayingFault):
    """A delay before each message that is consumed; messages of one consumer wait for each other."""

    kind = "slow_consumer"
    of_what = "a message"
    place = "broker"
    store = "kafka"
    side = "consume"
    contract = Contract(
        "lag",
        "consumer lag grows once messages come faster than one per delay",
        quantity=LAG,
        at_least=1.0,
        shows_within=3.0,
        clears_within=3.0,
        example={"target": "notifications", "delay": "1s"},
    )

    delay: Duration = Field(0.1, gt=0, description="how much longer each message takes")
