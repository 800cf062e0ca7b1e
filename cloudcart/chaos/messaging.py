"""The place where faults act on messages that a service consumes or publishes: targets like ``notifications`` or
``kafka:order.created``.

Called by whoever consumes a topic around the handling of each message, and by whoever publishes around each sending.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.exchange import Passage
from cloudcart.chaos.matching import Headers, Work
from cloudcart.chaos.record import ActiveFault
from cloudcart.exceptions import MessageRejectedError
from cloudcart.telemetry.context import current

Send = Callable[[bytes | None], Awaitable[bool]]
"""Publishes the message, or with other bytes its companion, and returns whether the broker confirmed it."""


async def through_faults(
    active: ActiveFaults, topic: str, key: str, handle: Callable[[], Awaitable[None]], *, headers: Headers = ()
) -> None:
    """Handle one message under the faults that match it.

    Args:
        active: what is active in this process.
        topic: where the message was read from.
        key: the request key that it travels with; empty: messages are counted per topic.
        handle: does the work.
        headers: of the message, with lower-case names, for faults that match one.

    Raises:
        MessageRejectedError: a fault answered in the consumer's stead; ``handle`` did not run.
    """
    if not active.any:
        await handle()
        return
    consumed = Work("inbound", "", "", topic=topic, place="broker")
    records = [*active.matching(consumed), *active.matching(Work("inbound", "", "", headers, topic=topic))]
    if not records:
        await handle()
        return
    context = current.get()
    await _MessagePassage(active, records, topic, key, context.marks if context else [], handle).advance()


def may_act_on_publishing(active: ActiveFaults, topic: str) -> bool:
    """Return whether a message for ``topic`` has to go through :func:`publish_through_faults`."""
    return active.any and bool(active.matching(_published(topic)))


async def publish_through_faults(active: ActiveFaults, topic: str, send: Send) -> bool:
    """Publish one message under the faults that match it; draws are counted per topic, so a repeat draws anew.

    Args:
        active: what is active in this process.
        topic: where the message goes.
        send: publishes it; raises what it likes.

    Returns:
        Whether the broker confirmed it.
    """
    passage = _PublishPassage(active, active.matching(_published(topic)), topic, "", [], send)
    await passage.advance()
    return passage.confirmed


def _published(topic: str) -> Work:
    return Work("outbound", "", "", topic=topic, place="broker")


class _MessagePassage(Passage):
    """A message's way through the faults that match it."""

    __slots__ = ("_handle",)

    def __init__(
        self,
        active: ActiveFaults,
        records: Sequence[ActiveFault],
        topic: str,
        key: str,
        marks: list[str],
        handle: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(active, records, topic, key, marks)
        self._handle = handle

    async def serve(self) -> None:
        await self._handle()

    async def reply(self, status: int, *_answer: Mapping[str, object] | None) -> None:
        raise MessageRejectedError(f"a fault rejected the message with {status}; deliver it again")


class _PublishPassage(Passage):
    """The way of a message that is published."""

    __slots__ = ("_send", "confirmed")

    def __init__(
        self,
        active: ActiveFaults,
        records: Sequence[ActiveFault],
        topic: str,
        key: str,
        marks: list[str],
        send: Send,
    ) -> None:
        super().__init__(active, records, topic, key, marks)
        self._send = send
        self.confirmed = True

    async def serve(self) -> None:
        self.confirmed &= await self._send(None)

    async def reply(self, _status: int, *_answer: Mapping[str, object] | None) -> None:
        self.confirmed = False

    def fail(self) -> None:
        self.confirmed = False

    async def put(self, value: bytes) -> None:
        await self._send(value)
