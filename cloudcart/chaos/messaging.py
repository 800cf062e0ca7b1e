"""The place where faults act on messages that a service consumes: targets like ``notifications`` or
``kafka:order.created``.

Called by whoever consumes a topic, around the handling of each message. Not here: publishing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.exchange import Passage
from cloudcart.chaos.matching import Headers, Work
from cloudcart.chaos.record import ActiveFault
from cloudcart.exceptions import MessageRejectedError
from cloudcart.telemetry.context import current


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
    records = active.matching(Work("inbound", "", "", headers, topic=topic))
    if not records:
        await handle()
        return
    context = current.get()
    await _MessagePassage(active, records, topic, key, context.marks if context else [], handle).advance()


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
