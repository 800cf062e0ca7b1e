"""``link_reset``: a connection in use is cut, as by a firewall or a peer that was restarted."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.contract import FAILED_LOOKS, Contract
from cloudcart.faults.link import Link, LinkFault


class LinkReset(LinkFault):
    """A connection is cut (TCP RST) when bytes come, at once or after so many bytes more; idle ones live on."""

    kind = "link_reset"
    contract = Contract(
        "errors",
        "calls in flight fail by the probability",
        quantity=FAILED_LOOKS,
        at_least=0.25,
        shows_within=1.0,
        clears_within=2.0,
        example={"target": "products->postgres"},
    )
    drawn_per = "chunk"

    after_bytes: int = Field(0, ge=0, description="bytes of a stream that get through under the fault before the cut")

    def act_on_link(self, link: Link) -> None:
        """Cut, if it is time."""
        if link.size and link.passed + link.size > self.after_bytes:
            link.keep(max(0, self.after_bytes - link.passed))
            link.reset(0.0)

    @property
    def label(self) -> str:
        """As ``resets on products->postgres``."""
        return f"resets on {self.target}"
