"""The Redis client on a real Valkey: many callers share a connection; one that is away or silent is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry

from cloudcart.exceptions import StoreError, UsageError
from cloudcart.lab.valkey import Valkey
from cloudcart.stores.redis import Redis
from cloudcart.telemetry.metrics import Telemetry


def run(url: str, use: Callable[[Redis], Awaitable[None]]) -> CollectorRegistry:
    registry = CollectorRegistry()

    async def bounded() -> None:
        redis = Redis(url, Telemetry("test", registry))
        try:
            async with asyncio.timeout(20):
                await use(redis)
        finally:
            await redis.close()

    asyncio.run(bounded())
    return registry


def errors(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("redis_errors_total")


def test_commands_of_many_callers_get_their_own_answers(valkey: Valkey) -> None:
    async def use(redis: Redis) -> None:
        await redis.command("FLUSHDB")
        await asyncio.gather(*(redis.command("SET", f"k{n}", n) for n in range(200)))
        values = await asyncio.gather(*(redis.command("GET", f"k{n}") for n in range(200)))
        assert values == [str(n) for n in range(200)]
        assert await redis.command("GET", "nothing") is None
        assert await redis.command("SET", "bytes", bytes(range(256))) == "OK"
        assert await redis.command("STRLEN", "bytes") == 256
        assert await redis.command("MGET", "k1", "nothing") == ["1", None]
        await redis.ping()

    assert errors(run(valkey.url, use)) == 0


def test_a_script_runs_also_when_the_server_has_forgotten_it(valkey: Valkey) -> None:
    async def use(redis: Redis) -> None:
        script = redis.script("return {KEYS[1], ARGV[1] + 1}")
        assert await redis.run(script, ["k"], [41]) == ["k", 42]
        await redis.command("SCRIPT", "FLUSH")
        assert await redis.run(script, ["k"], [1]) == ["k", 2]

    assert errors(run(valkey.url, use)) == 0


def test_a_refused_command_is_an_error_and_the_connection_goes_on(valkey: Valkey) -> None:
    async def use(redis: Redis) -> None:
        with pytest.raises(StoreError, match="refuses"):
            await redis.command("NOSUCHCOMMAND")
        with pytest.raises(StoreError):
            await redis.run(redis.script("return redis.call('nosuch')"), [])
        await redis.command("PING")

    assert errors(run(valkey.url, use)) == 2


@pytest.mark.parametrize("url", ["unix:///nowhere/redis.sock", "redis://127.0.0.1:1/0", ""])
def test_a_server_that_is_not_there_fails_at_once_for_a_moment(url: str) -> None:
    async def use(redis: Redis) -> None:
        for _ in range(3):
            with pytest.raises(StoreError):
                await redis.command("PING")

    assert errors(run(url, use)) == 3


def test_an_address_of_another_kind_is_refused() -> None:
    async def use(redis: Redis) -> None:
        with pytest.raises(UsageError, match=r"stores\.redis"):
            await redis.command("PING")

    run("http://127.0.0.1:6379", use)


class Scripted:
    """A server that gives each connection its answers, one a turn, and then hangs up; on the last one it waits."""

    def __init__(self, *connections: list[bytes]) -> None:
        self.connections = list(connections)
        self.received: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in self.connections.pop(0):
            self.received.append(await reader.read(1000))
            writer.write(answer)
        if not self.connections:
            await reader.read()
        writer.close()

    def run(self, use: Callable[[Redis], Awaitable[None]], url: str = "redis://127.0.0.1:{port}/0") -> None:
        async def bounded() -> None:
            server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
            redis = Redis(url.format(port=server.sockets[0].getsockname()[1]), Telemetry("test"))
            async with asyncio.timeout(20):
                await use(redis)
            await redis.close()
            server.close()
            await server.wait_closed()
            for _ in range(3):  # turns in which the server's side notices, too
                await asyncio.sleep(0)

        asyncio.run(bounded())


def test_it_logs_in_and_selects_its_database() -> None:
    server = Scripted([b"+OK\r\n", b"+OK\r\n", b"+PONG\r\n"])

    async def use(redis: Redis) -> None:
        assert await redis.command("PING") == "PONG"

    server.run(use, "redis://user:p%40ss@127.0.0.1:{port}/3")
    assert server.received[0].endswith(b"AUTH\r\n$4\r\nuser\r\n$4\r\np@ss\r\n")
    assert server.received[1].endswith(b"SELECT\r\n$1\r\n3\r\n")


def test_a_refused_login_is_a_server_that_is_not_there() -> None:
    async def use(redis: Redis) -> None:
        with pytest.raises(StoreError):
            await redis.command("PING")

    Scripted([b"-WRONGPASS no\r\n"]).run(use, "redis://:secret@127.0.0.1:{port}")


def test_after_a_server_that_closes_or_talks_nonsense_a_new_connection_is_made() -> None:
    async def use(redis: Redis) -> None:
        for _ in range(2):
            with pytest.raises(StoreError):
                await redis.command("PING")
            redis._away_until = 0.0
        assert await redis.command("PING") == "PONG"

    Scripted([b""], [b"nonsense\r\n"], [b"+PONG\r\n"]).run(use)


def test_a_silent_server_is_given_up() -> None:
    async def use(redis: Redis) -> None:
        with pytest.raises(StoreError):
            await redis.command("PING")

    Scripted([b""]).run(use)
