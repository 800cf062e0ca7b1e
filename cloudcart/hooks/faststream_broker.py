"""Faults in what a FastStream broker of Kafka publishes and consumes: a middleware of the broker.

``Hooks.faststream_middleware`` makes it. A message that a fault rejects raises in the consumer's stead, one that is not
confirmed raises where it was published.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from typing import TYPE_CHECKING, Any

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.messaging import may_act_on_publishing, publish_through_faults, through_faults
from cloudcart.telemetry.context import REQUEST_KEY

if TYPE_CHECKING:
    from faststream import BaseMiddleware, StreamMessage

    Next = Callable[[Any], Awaitable[Any]]


def middleware(active: ActiveFaults) -> type[BaseMiddleware[Any, Any]]:
    """Return the class to put into ``KafkaBroker(middlewares=[..])``."""
    from faststream import BaseMiddleware

    class ChaosMessages(BaseMiddleware[Any, Any]):
        async def consume_scope(self, call_next: Next, msg: StreamMessage[Any]) -> Any:
            results: list[Any] = []

            async def handle() -> None:
                results.append(await call_next(msg))

            key = str(msg.headers.get(REQUEST_KEY, ""))
            lines = [(name.lower().encode(), str(value).encode()) for name, value in msg.headers.items()]
            await through_faults(active, _topic(msg.raw_message), key, handle, headers=lines)
            return results[-1]

        async def publish_scope(self, call_next: Next, cmd: Any) -> Any:
            if not may_act_on_publishing(active, cmd.destination):
                return await call_next(cmd)
            return await _publish(active, call_next, cmd)

    return ChaosMessages


async def _publish(active: ActiveFaults, call_next: Next, command: Any) -> Any:
    results: list[Any] = []

    async def send(other: bytes | None) -> bool:
        if other is None:
            results.append(await call_next(command))
        else:
            beside = copy(command)
            beside.body = other
            await call_next(beside)
        return True

    if not await publish_through_faults(active, command.destination, send):
        raise _unconfirmed()
    return results[-1]


def _unconfirmed() -> Exception:
    """Return the error by which the driver would tell that the broker did not confirm."""
    from aiokafka.errors import KafkaTimeoutError

    error: Exception = KafkaTimeoutError("a fault kept the broker from confirming")
    return error


def _topic(raw: Any) -> str:
    """Return where a message, or the first of a batch, was read from."""
    first = raw[0] if isinstance(raw, tuple | list) else raw
    return str(first.topic)
