"""``link_down``: connections are cut, and new ones as soon as they are made."""

from __future__ import annotations

from cloudcart.faults.contract import FAILED_LOOKS, Contract
from cloudcart.faults.link import Link, LinkFault


class LinkDown(LinkFault):
    """The link is gone: live connections are cut at once, new ones when they open. Each cut connection counts."""

    kind = "link_down"
    contract = Contract(
        "errors",
        "error ratio grows by what needs the link",
        quantity=FAILED_LOOKS,
        at_least=0.5,
        shows_within=1.0,
        clears_within=2.0,
        example={"target": "products->postgres"},
    )
    drawn_per = "connection"

    def act_on_link(self, link: Link) -> None:
        """Cut."""
        link.reset(0.0)

    @property
    def label(self) -> str:
        """As ``products->postgres down``."""
        return f"{self.target} down"
