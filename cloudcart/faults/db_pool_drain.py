"""``db_pool_drain``: a share of a service's database connections is in use by nobody, as after a leak."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import POOL, Contract
from cloudcart.faults.places import Pool, until_healed
from cloudcart.units import Share


class DbPoolDrain(Fault):
    """Places in the service's pool are held from within; they are taken as they become free, and all given back."""

    kind = "db_pool_drain"
    place = "store"
    store = "postgres"
    standing = True
    contract = Contract(
        "saturation",
        "db_pool_in_use rises by the share of db_pool_size; requests queue, at 100 % they fail after 3 s",
        quantity=POOL,
        at_least=0.5,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products", "share": 0.75},
    )

    share: Share = Field(1.0, gt=0, description="share of the pool that is held")

    async def act(self, pool: Pool, /) -> None:
        """Hold until healed."""
        async with pool.drained(self.share):
            await until_healed()

    @property
    def label(self) -> str:
        """As ``75% of the pool of products drained``."""
        return f"{self.share:.0%} of the pool of {self.aim} drained"
