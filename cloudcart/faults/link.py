"""The place *link*: bytes on their way between a service and what it talks to; and what all faults of links share.

The code that owns the place is the proxy (``chaos.links``). A fault says what becomes of the bytes that it hits and
when; it neither waits nor sees sockets, so faults stacked on one link add up exactly.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Protocol, Self

from pydantic import Field, model_validator

from cloudcart.faults.base import Fault

LINKS: Final = "links"
"""The name by which the lab's proxy asks the control plane for its faults."""

Stream = Literal["both", "upstream", "downstream"]
_NOT_SEEN: Final = ("method", "header", "user", "replica")  # matchers of requests: a link carries bytes


class Link(Protocol):
    """A place: a chunk of bytes on one stream of one connection; its size is 0 when the connection opens."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    @property
    def passed(self) -> int:
        """How many bytes went the same way through this fault before."""

    def draw(self, number: int) -> float:
        """Return this fault's ``number``-th random number for these bytes, uniform in [0, 1), 1 to 7."""

    def delay(self, seconds: float) -> None:
        """Let them come later; what follows does not overtake them."""

    def transmit(self, rate: float) -> None:
        """Let them take their turn on a line that carries ``rate`` bytes a second."""

    def hold(self) -> None:
        """Keep them until the fault ends."""

    def slice(self, sizes: int, variation: int, pause: float) -> None:
        """Let them come in pieces of ``sizes`` bytes, more or less ``variation``, ``pause`` seconds apart."""

    def keep(self, count: int) -> None:
        """Let the first ``count`` bytes go on and lose the rest."""

    def close(self, after: float) -> None:
        """End the connection in order, so many seconds from now unless the fault ends before."""

    def reset(self, after: float) -> None:
        """Cut the connection (TCP RST), so many seconds from now unless the fault ends before."""


class LinkFault(Fault):
    """A fault of a link: its target is ``service->peer``, and ``stream`` the way that the bytes go."""

    place = "link"
    drawn_per: ClassVar[Literal["connection", "chunk"]]

    stream: Stream = Field("both", description="upstream: to the peer; downstream: back to the service")
    per: Literal["connection", "chunk"] | None = Field(
        None,
        description="what is drawn for: each connection, or each chunk that is read; if not given as the kind does",
    )

    @model_validator(mode="after")
    def _is_of_a_link(self) -> Self:
        if self.target.link is None:
            raise ValueError(f"{self.kind} acts on a link; aim it at one, as products->postgres")
        for name in _NOT_SEEN:
            if getattr(self, name) is not None:
                raise ValueError(f"{self.kind} sees bytes, not requests: {name} cannot choose among them")
        if self.max_active is not None and not self.drawn_for_connection:
            raise ValueError(f"max_active counts connections, and {self.kind} draws for chunks; add per=connection")
        return self

    def acts_in(self, service: str, replica: int) -> bool:  # noqa: ARG002  # there is one proxy
        """Return whether that process is the proxy, whichever service the link belongs to."""
        return service == LINKS

    @property
    def drawn_for_connection(self) -> bool:
        """Whether a whole connection is hit or spared; else each chunk is drawn for by itself."""
        return (self.per or self.drawn_per) == "connection"

    def act_on_link(self, link: Link) -> None:
        """Do to the bytes what this kind does."""
        raise NotImplementedError(f"{self.kind} does nothing to links")

    def act_on_end(self, link: Link) -> None:
        """Do something to the end of the stream; most kinds do nothing."""
