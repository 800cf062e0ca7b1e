"""``db_kill_connections``: PostgreSQL ends every connection of a service, again and again."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import KILLED_SESSIONS, Contract
from cloudcart.faults.places import Administrator
from cloudcart.units import Duration, format_duration


class DbKillConnections(Fault):
    """Statements that run at that moment fail and their transactions are rolled back; idle connections are made anew.

    Each round is drawn for by itself, so ``first=1`` ends the connections once.
    """

    kind = "db_kill_connections"
    place = "store"
    store = "postgres"
    standing = True
    carried_out_by = "chaos"
    needs = "the administrator's address of PostgreSQL"
    contract = Contract(
        "errors",
        "pg_stat_database.sessions_killed grows; requests that were in the database fail",
        quantity=KILLED_SESSIONS,
        at_least=1.0,
        shows_within=2.0,
        clears_within=3.0,
        example={"target": "products", "every": "100ms"},
    )

    every: Duration = Field(1.0, gt=0, description="time from one round to the next")  # type: ignore[assignment]

    async def act(self, administrator: Administrator, /) -> None:
        """End them, once."""
        await administrator.end_connections(self.target.service)

    @property
    def period(self) -> float | None:
        """The time between two rounds."""
        return self.every

    @property
    def label(self) -> str:
        """As ``connections of orders ended every 1s``."""
        return f"connections of {self.target} ended every {format_duration(self.every)}"
