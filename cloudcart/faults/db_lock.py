"""``db_lock``: a table is held by an open transaction, as by a migration that somebody forgot."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import TIME_OF_LOOKS, Contract
from cloudcart.faults.places import Administrator


class DbLock(Fault):
    """An administrator's session holds a table of the target in the mode ACCESS EXCLUSIVE: nobody reads or writes it.

    The server ends that session when the control plane has been silent for 5 s, so nothing stays locked.
    """

    kind = "db_lock"
    place = "store"
    store = "postgres"
    standing = True
    carried_out_by = "chaos"
    needs = "the administrator's address of PostgreSQL"
    contract = Contract(
        "latency",
        "requests that need the table wait, and fail after the statement time-out of 5 s",
        quantity=TIME_OF_LOOKS,
        at_least=0.4,
        shows_within=3.0,  # one look of a second may have begun before the table was held
        clears_within=2.0,
        example={"target": "products", "table": "products"},
    )

    table: str = Field(min_length=1, max_length=63, description="the table, one of the target service's own")

    async def act(self, administrator: Administrator, /) -> None:
        """Hold it."""
        await administrator.lock_table(self.target.service, self.table)

    @property
    def label(self) -> str:
        """As ``table products of products locked``."""
        return f"table {self.table} of {self.target} locked"
