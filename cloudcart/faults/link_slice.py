"""``link_slice``: bytes arrive in small pieces, so that whoever takes one read for one message is found out."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.contract import TIME_OF_LOOKS, Contract
from cloudcart.faults.link import Link, LinkFault
from cloudcart.units import Duration


class LinkSlice(LinkFault):
    """Chunks are cut into pieces that are sent apart, with a pause between them."""

    kind = "link_slice"
    contract = Contract(
        "latency",
        "p50 grows by the pauses",
        quantity=TIME_OF_LOOKS,
        at_least=0.1,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products->postgres", "size": 20, "pause": "5ms"},
    )
    drawn_per = "chunk"

    size: int = Field(64, ge=1, description="bytes of a piece on average")
    variation: int = Field(0, ge=0, description="a piece is so many bytes larger or smaller at most")
    pause: Duration = Field(0.001, description="time between two pieces")

    def act_on_link(self, link: Link) -> None:
        """Slice."""
        link.slice(self.size, self.variation, self.pause)

    @property
    def label(self) -> str:
        """As ``64-byte pieces on products->postgres``."""
        return f"{self.size}-byte pieces on {self.target}"
