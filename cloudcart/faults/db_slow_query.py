"""``db_slow_query``: the statements that a service sends to PostgreSQL take longer."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.contract import TIME_OF_LOOKS, Contract
from cloudcart.faults.delaying import DelayingFault
from cloudcart.units import Duration


class DbSlowQuery(DelayingFault):
    """A delay before each statement, its connection in use; over 5 s the statement fails by the statement time-out."""

    kind = "db_slow_query"
    of_what = "a statement"
    place = "store"
    store = "postgres"
    contract = Contract(
        "latency",
        "p50 grows by the delay for each statement of a request, and db_pool_in_use with it",
        quantity=TIME_OF_LOOKS,
        at_least=0.15,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products->postgres", "delay": "200ms"},
    )

    delay: Duration = Field(0.2, gt=0, description="how much longer each statement takes")
