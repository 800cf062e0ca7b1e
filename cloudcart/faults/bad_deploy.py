"""``bad_deploy``: a service is started again as a new release, which fails a share of requests."""

from __future__ import annotations

import asyncio
import hashlib

from pydantic import Field

from cloudcart.faults.base import Fault, Process
from cloudcart.faults.contract import SERVER_ERRORS, Contract
from cloudcart.faults.pause import RENEWED_EVERY
from cloudcart.units import Share


class BadDeploy(Fault):
    """A release that answers a share of requests with 500, until the release before it is deployed again.

    It shows as a deployment does, in ``cloudcart_deployments_total`` and the commit of ``cloudcart_build_info``; its
    answers bear no mark of a fault. Which requests fail is drawn as everywhere, by seed and request key.
    """

    kind = "bad_deploy"
    place = "process"
    carried_out_by = "chaos"
    needs = "services that the lab itself has started, as embedded or in containers"
    contract = Contract(
        "errors",
        "error ratio grows by the share, from the moment at which the deployments of the service grow by one",
        quantity=SERVER_ERRORS,
        at_least=0.25,
        shows_within=5.0,
        clears_within=5.0,
        example={"target": "products", "share": 0.5},
    )

    share: Share = Field(0.3, gt=0, description="share of requests that the bad release answers with 500")

    async def act_in(self, process: Process) -> None:
        """Deploy, renew the deployment for as long as the fault may act, and roll back."""
        service = self.process
        settings = {"release.failing": self.share, "release.seed": self.seed or 0}
        try:
            await process.deploy(service, settings, release=self._commit, seconds=process.seconds_left())
            process.hit()
            while True:
                await asyncio.sleep(RENEWED_EVERY)
                await process.deploy(service, settings, release=self._commit, seconds=process.seconds_left())
        finally:
            await process.deploy(service, {}, release="", seconds=0.0)

    @property
    def _commit(self) -> str:
        """What the bad release calls itself: seven digits like those of any commit."""
        return hashlib.blake2b(self.identity, digest_size=4).hexdigest()[:7]

    @property
    def label(self) -> str:
        """As ``bad release of products``."""
        return f"bad release of {self.aim}"
