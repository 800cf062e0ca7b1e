"""Statements of SQLAlchemy and commands of redis-py under faults, on a real PostgreSQL and a real Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio
import sqlalchemy
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from cloudcart import Hooks
from cloudcart.lab.postgres import Postgres
from cloudcart.lab.valkey import Valkey

SLOW = {"kind": "db_slow_query", "delay": "80ms"}
SLOW_REDIS = {"kind": "redis_slow", "delay": "80ms"}


def statements(hooks: Hooks, url: str, count: int) -> list[Any]:
    """Run statements with a synchronous engine; return each result or the error that SQLAlchemy raised."""
    engine = hooks.sqlalchemy_engine(sqlalchemy.create_engine(url))
    found: list[Any] = []
    try:
        for number in range(count):
            try:
                with engine.begin() as connection:
                    found.append(connection.execute(sqlalchemy.text("SELECT :n + 0"), {"n": number}).scalar_one())
            except OperationalError as error:
                found.append(error)
    finally:
        engine.dispose()
    return found


def async_statements(hooks: Hooks, url: str, count: int) -> list[Any]:
    async def run() -> list[Any]:
        engine = hooks.sqlalchemy_engine(create_async_engine(url))
        found: list[Any] = []
        try:
            for number in range(count):
                try:
                    async with engine.begin() as connection:
                        result = await connection.execute(sqlalchemy.text("SELECT :n + 0"), {"n": number})
                        found.append(result.scalar_one())
                except OperationalError as error:
                    found.append(error)
        finally:
            await engine.dispose()
        return found

    return asyncio.run(run())


def commands(hooks: Hooks, url: str, count: int) -> list[Any]:
    client = hooks.redis_client(redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=0.5))
    found: list[Any] = []
    with client:
        for number in range(count):
            try:
                client.set("hooks", number)
                found.append(int(client.get("hooks")))  # type: ignore[arg-type]
            except redis.RedisError as error:
                found.append(error)
    return found


def async_commands(hooks: Hooks, url: str, count: int) -> list[Any]:
    async def run() -> list[Any]:
        found: list[Any] = []
        retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
        plain = redis.asyncio.Redis.from_url(url, retry=retry, socket_timeout=0.5)
        async with hooks.redis_client(plain) as client:
            for number in range(count):
                try:
                    await client.set("hooks", number)
                    found.append(int(await client.get("hooks")))
                except redis.RedisError as error:
                    found.append(error)
        return found

    return asyncio.run(run())


Use = Callable[[Hooks, str, int], list[Any]]
every_engine = pytest.mark.parametrize("use", [statements, async_statements], ids=lambda use: use.__name__)
every_client = pytest.mark.parametrize("use", [commands, async_commands], ids=lambda use: use.__name__)


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.url(driver="+psycopg")


@every_engine
def test_a_slow_query_is_felt_and_counted(use: Use, database: str) -> None:
    with Hooks("mine", faults=[{**SLOW, "first": 2}], lab=True) as hooks:
        begun = time.monotonic()
        assert use(hooks, database, 4) == [0, 1, 2, 3]
        assert time.monotonic() - begun >= 0.16
        [(_, injected)] = hooks.active.counts().values()
        assert injected == 2


@every_engine
@pytest.mark.parametrize(
    "fault", [{"kind": "slow_body"}, {"kind": "corrupt"}, {"kind": "reset", "after_bytes": 5}], ids=lambda f: f["kind"]
)
def test_what_damages_answers_neither_acts_on_a_statement_nor_counts(
    use: Use, database: str, fault: dict[str, object]
) -> None:
    with Hooks("mine", faults=[{**fault, "target": "mine->database"}], lab=True) as hooks:
        assert use(hooks, database, 2) == [0, 1]
        assert list(hooks.active.counts().values()) == [(0, 0)]


@every_engine
@pytest.mark.parametrize(
    ("fault", "cut"), [({"kind": "error", "body": "no disk"}, False), ({"kind": "reset"}, True)], ids=["error", "reset"]
)
def test_a_refused_statement_is_sqlalchemy_s_own_error(
    use: Use, database: str, fault: dict[str, object], cut: bool
) -> None:
    with Hooks("mine", faults=[{**fault, "target": "mine->database", "first": 1}], lab=True) as hooks:
        refused, *others = use(hooks, database, 3)
    assert isinstance(refused, OperationalError)
    assert refused.connection_invalidated is cut
    assert others == [1, 2], "the connection, or the next one, goes on"


@every_engine
def test_a_heal_lets_go_of_a_statement(use: Use, database: str, heal_when_held: Any) -> None:
    with Hooks("mine", faults=[{**SLOW, "delay": "60s"}], lab=True) as hooks:
        heal_when_held(hooks)
        begun = time.monotonic()
        assert use(hooks, database, 2) == [0, 1]
        assert time.monotonic() - begun < 20


@every_engine
def test_without_a_lab_statements_are_left_alone(use: Use, database: str) -> None:
    with Hooks("mine", faults=[{**SLOW, "delay": "60s"}]) as hooks:
        assert use(hooks, database, 2) == [0, 1]
        assert hooks.active.counts() == {}


@every_client
def test_a_slow_command_is_felt_and_counted(use: Use, valkey: Valkey) -> None:
    with Hooks("mine", faults=[{**SLOW_REDIS, "first": 2}], lab=True) as hooks:
        begun = time.monotonic()
        assert use(hooks, valkey.url, 3) == [0, 1, 2]
        assert time.monotonic() - begun >= 0.16
        assert list(hooks.active.counts().values()) == [(2, 2)], "introducing a connection is no command"


@every_client
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "error", "target": "mine->cache"}, redis.ResponseError),
        ({"kind": "reset", "target": "mine->cache"}, redis.ConnectionError),
        ({**SLOW_REDIS, "delay": "30s"}, redis.TimeoutError),
    ],
    ids=["error", "reset", "patience"],
)
def test_a_refused_command_is_redis_py_s_own_error(
    use: Use, valkey: Valkey, fault: dict[str, object], error: type[Exception]
) -> None:
    with Hooks("mine", faults=[{**fault, "first": 1}], lab=True) as hooks:
        refused, *others = use(hooks, valkey.url, 3)
    assert type(refused) is error
    assert others == [1, 2]


@every_client
def test_a_heal_lets_go_of_a_command(use: Use, valkey: Valkey, heal_when_held: Any) -> None:
    with Hooks("mine", faults=[{**SLOW_REDIS, "delay": "400ms", "ttl": "60s"}], lab=True) as hooks:
        heal_when_held(hooks)
        assert use(hooks, valkey.url, 3) == [0, 1, 2]
        [(_, injected)] = hooks.active.counts().values()
        assert injected <= 2


@every_client
def test_without_a_lab_commands_are_left_alone(use: Use, valkey: Valkey) -> None:
    with Hooks("mine", faults=[{**SLOW_REDIS, "delay": "60s"}]) as hooks:
        assert use(hooks, valkey.url, 2) == [0, 1]


def test_a_pipeline_is_one_command(valkey: Valkey) -> None:
    with Hooks("mine", faults=[SLOW_REDIS], lab=True) as hooks, redis.Redis.from_url(valkey.url) as plain:
        with hooks.redis_client(plain).pipeline() as pipeline:
            assert pipeline.set("hooks", 1).get("hooks").execute() == [True, b"1"]
        assert list(hooks.active.counts().values()) == [(1, 1)]
