"""``redis_slow``: the commands that a service sends to Redis take longer."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.contract import TIME_OF_LOG_INS, Contract
from cloudcart.faults.delaying import DelayingFault
from cloudcart.units import Duration


class RedisSlow(DelayingFault):
    """A delay before each command of one service; from 250 ms on commands fail, as with a Redis that is away.

    It acts in the service. The server's own means (CLIENT PAUSE, DEBUG SLEEP) stop every client at once, know neither
    probability nor request, and the second is switched off where nobody has asked for it.
    """

    kind = "redis_slow"
    of_what = "a command"
    place = "store"
    store = "redis"
    contract = Contract(
        "latency",
        "requests that ask Redis take longer by the delay; redis_errors_total grows from 250 ms on",
        quantity=TIME_OF_LOG_INS,
        at_least=0.15,
        shows_within=1.0,
        clears_within=2.0,
        example={"target": "users", "delay": "200ms"},
    )

    delay: Duration = Field(0.1, gt=0, description="how much longer each command takes")
