"""``link_blackhole``: nothing gets through and nobody is told; what TCP would send again arrives after the heal."""

from __future__ import annotations

from cloudcart.faults.contract import TIME_OF_LOOKS, Contract
from cloudcart.faults.link import Link, LinkFault


class LinkBlackhole(LinkFault):
    """Silence: connections stay open and nothing arrives; after the heal the bytes do, as TCP's repeats would."""

    kind = "link_blackhole"
    contract = Contract(
        "latency",
        "p99 grows to the caller's time-out",
        quantity=TIME_OF_LOOKS,
        at_least=0.4,
        shows_within=2.0,
        clears_within=8.0,
        example={"target": "products->postgres"},
    )
    drawn_per = "connection"

    def act_on_link(self, link: Link) -> None:
        """Hold back."""
        link.hold()

    @property
    def label(self) -> str:
        """As ``products->postgres silent``."""
        return f"{self.target} silent"
