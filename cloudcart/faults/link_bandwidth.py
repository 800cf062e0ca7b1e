"""``link_bandwidth``: a connection carries no more than so many bytes a second."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.contract import TIME_OF_LOOKS, Contract
from cloudcart.faults.link import Link, LinkFault
from cloudcart.units import Size


class LinkBandwidth(LinkFault):
    """A limit on the bytes per second of each connection, each way by itself."""

    kind = "link_bandwidth"
    contract = Contract(
        "latency",
        "p50 grows by size over rate",
        quantity=TIME_OF_LOOKS,
        at_least=0.1,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products->postgres", "rate": "5kB"},
    )
    drawn_per = "connection"

    rate: Size = Field(ge=1, description="bytes a second, as 64KiB")

    def act_on_link(self, link: Link) -> None:
        """Queue for the line."""
        link.transmit(self.rate)

    @property
    def label(self) -> str:
        """As ``64KiB/s on products->postgres``."""
        return f"{self.rate / 1024:g}KiB/s on {self.target}"
