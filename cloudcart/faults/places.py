"""The places of faults of stores and brokers: what such a fault may do there. (HTTP's place is ``base.Exchange``.)

Protocols only, so that a fault knows neither drivers nor services; ``chaos`` and the chaos service fulfil them.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol


async def until_healed() -> None:
    """Wait for ever: whoever carries a standing fault out cancels it at the fault's end."""
    await asyncio.Event().wait()


class Store(Protocol):
    """A place: one statement or command that a service sends to a store."""

    def draw(self, number: int) -> float:
        """Return this fault's ``number``-th random number for this statement; see ``Exchange.draw``."""

    async def delay(self, seconds: float) -> None:
        """Let ``seconds`` pass for this statement alone, its connection in use. The store's own limits hold."""

    async def forward(self) -> None:
        """Let the statement go on."""


class Broker(Protocol):
    """A place: one message that a service publishes or consumes."""

    def draw(self, number: int) -> float:
        """Return this fault's ``number``-th random number for this message; see ``Exchange.draw``."""

    async def delay(self, seconds: float) -> None:
        """Let ``seconds`` pass before this message, and hold up what comes after it in the same batch."""

    async def forward(self) -> None:
        """Let the message go on. Called twice, a published message is published twice."""

    async def fail(self) -> None:
        """Do not publish the message, and report that the broker has not confirmed it."""

    async def put(self, value: bytes) -> None:
        """Publish another message on the same topic, with the same key."""


class Pool(Protocol):
    """A place: the database connections of one service, from within."""

    def drained(self, share: float) -> AbstractAsyncContextManager[None]:
        """Hold ``share`` of the connections, as they become free, while the context lasts."""


class Administrator(Protocol):
    """A place: a store as its administrator reaches it, from the control plane.

    What is called here is cancelled when the fault ends, and undoes itself then, or when its process is killed.
    """

    async def lock_table(self, service: str, table: str) -> None:
        """Hold a table of a service until cancelled."""

    async def end_connections(self, service: str) -> None:
        """End every connection of a service to the database."""

    async def flush_redis(self) -> None:
        """Delete everything in Redis."""

    async def pause_broker(self) -> None:
        """Stop the broker's process until cancelled."""

    async def kill_broker(self) -> None:
        """Kill the broker's process; it is started again when this is cancelled."""
