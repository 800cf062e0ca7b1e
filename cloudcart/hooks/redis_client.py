"""Faults in the commands of a redis-py client, synchronous or asynchronous: its connections wait before they send.

Below the client's retries and within its ``socket_timeout``. A pipeline is one command here, as it is one write.
``Hooks.redis_client`` attaches it.
"""

from __future__ import annotations

from typing import Any, TypeVar

from cloudcart.exceptions import ConnectionCutError, StoreError
from cloudcart.hooks.gate import Gate

Client = TypeVar("Client")


def attach(client: Client, gate: Gate) -> Client:
    """Let faults act on each command of ``client`` from now on, and return it. Idle connections are closed."""
    from redis import asyncio

    pool: Any = client.connection_pool  # type: ignore[attr-defined]  # Redis and its asynchronous twin share no type
    made = _async_connection if isinstance(client, asyncio.Redis) else _connection
    pool.connection_class = made(pool.connection_class, gate)
    pool.reset()  # what is idle was made by the other class
    return client


def _connection(kind: Any, gate: Gate) -> Any:
    """Return a class of connections that wait, made of the client's own."""

    class ChaosConnection(kind):  # type: ignore[misc]
        _joining = False  # what a connection says to introduce itself is no command of the application

        def connect_check_health(self, *arguments: Any, **options: Any) -> Any:
            self._joining = True
            try:
                return super().connect_check_health(*arguments, **options)
            finally:
                self._joining = False

        def send_packed_command(self, command: Any, check_health: bool = True) -> Any:
            if gate.active.any and not self._joining:
                try:
                    gate._replace(limit=self.socket_timeout).wait()
                except (ConnectionCutError, StoreError, TimeoutError) as error:
                    self.disconnect()
                    raise _as_redis(error) from None
            return super().send_packed_command(command, check_health=check_health)

    return ChaosConnection


def _async_connection(kind: Any, gate: Gate) -> Any:
    class AsyncChaosConnection(kind):  # type: ignore[misc]
        _joining = False

        async def connect_check_health(self, *arguments: Any, **options: Any) -> Any:
            self._joining = True
            try:
                return await super().connect_check_health(*arguments, **options)
            finally:
                self._joining = False

        async def send_packed_command(self, command: Any, check_health: bool = True) -> Any:
            if gate.active.any and not self._joining:
                try:
                    await gate._replace(limit=self.socket_timeout).pass_through()
                except (ConnectionCutError, StoreError, TimeoutError) as error:
                    await self.disconnect(nowait=True)
                    raise _as_redis(error) from None
            return await super().send_packed_command(command, check_health=check_health)

    return AsyncChaosConnection


def _as_redis(error: Exception) -> Exception:
    """Return the error by which redis-py would tell what happened."""
    from redis import exceptions

    if isinstance(error, TimeoutError):
        return exceptions.TimeoutError("a fault held the command for longer than the client waits")
    if isinstance(error, StoreError):
        return exceptions.ResponseError(str(error))
    return exceptions.ConnectionError(str(error))
