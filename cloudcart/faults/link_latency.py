"""``link_latency``: bytes come later, in order, however many are on their way."""

from __future__ import annotations

from pydantic import Field

from cloudcart.faults.contract import TIME_OF_LOOKS, Contract
from cloudcart.faults.link import Link, LinkFault
from cloudcart.units import Duration, format_duration


class LinkLatency(LinkFault):
    """A delay of each chunk on a link, uniform within the jitter; both ways unless ``stream`` says which."""

    kind = "link_latency"
    contract = Contract(
        "latency",
        "p50 grows by the delay for each round trip",
        quantity=TIME_OF_LOOKS,
        at_least=0.1,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products->postgres", "latency": "100ms", "jitter": "10ms"},
    )
    drawn_per = "chunk"

    latency: Duration = Field(description="mean delay of a chunk")
    jitter: Duration = Field(0.0, description="the delay lies so far from its mean at most; never below zero")

    def act_on_link(self, link: Link) -> None:
        """Delay."""
        link.delay(max(0.0, self.latency + (2 * link.draw(1) - 1) * self.jitter))

    @property
    def label(self) -> str:
        """As ``+80ms on products->postgres``."""
        return f"+{format_duration(self.latency)} on {self.target}"
