"""Faults that the control plane carries out itself on PostgreSQL and Redis, and those that it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from cloudcart.exceptions import FaultError, RefusedError
from cloudcart.faults import parse_fault
from cloudcart.lab.postgres import Postgres
from cloudcart.lab.valkey import Valkey
from cloudcart.services.chaos_control.administrator import Administrator
from cloudcart.services.chaos_control.targets import check_target
from cloudcart.settings import Stores
from cloudcart.stores.database import conninfo
from cloudcart.stores.redis_connection import connect

LOCK = {"kind": "db_lock", "target": "products", "table": "products"}


@pytest.fixture
def stores(postgres: Postgres, valkey: Valkey, database_urls: dict[str, str]) -> Stores:
    return Stores(database=SecretStr(postgres.url(driver="+psycopg")), redis=valkey.url)


@pytest.fixture
def admin(stores: Stores) -> Administrator:
    return Administrator(stores)


def is_locked(sql: psycopg.Connection[Any]) -> bool:
    try:
        sql.execute("BEGIN; LOCK TABLE products.products IN ACCESS SHARE MODE NOWAIT; COMMIT")
    except psycopg.errors.LockNotAvailable:
        sql.execute("ROLLBACK")
        return True
    return False


def test_a_locked_table_is_free_again_when_the_lock_is_cancelled(
    admin: Administrator, admin_sql: psycopg.Connection[Any]
) -> None:
    async def test() -> None:
        holding = asyncio.create_task(admin.lock_table("products", "products"))
        await until(lambda: is_locked(admin_sql))
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        assert not is_locked(admin_sql)

    asyncio.run(test())


def test_the_server_lets_go_of_a_lock_whose_holder_is_silent(
    stores: Stores, admin_sql: psycopg.Connection[Any]
) -> None:
    admin = Administrator(stores, silence=0.5, beat=60.0)  # as if the process stood still

    async def test() -> None:
        holding = asyncio.create_task(admin.lock_table("products", "products"))
        await until(lambda: is_locked(admin_sql))
        await until(lambda: not is_locked(admin_sql))
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)

    asyncio.run(test())


def test_connections_of_one_service_are_ended(
    admin: Administrator, admin_sql: psycopg.Connection[Any], database_urls: dict[str, str]
) -> None:
    with (
        psycopg.connect(conninfo(database_urls["products"]), autocommit=True) as victim,
        psycopg.connect(conninfo(database_urls["users"]), autocommit=True) as bystander,
    ):
        asyncio.run(admin.end_connections("products"))
        with pytest.raises(psycopg.OperationalError):
            victim.execute("SELECT 1")
        bystander.execute("SELECT 1")


def test_redis_is_emptied(admin: Administrator, valkey: Valkey) -> None:
    async def test() -> int:
        connection = await connect(valkey.url)
        await connection.send("SET", "key", "value")
        await admin.flush_redis()
        size: int = await connection.send("DBSIZE")
        connection.abort()
        return size

    assert asyncio.run(test()) == 0


def test_what_can_be_done_is_admitted(admin: Administrator) -> None:
    for document in (LOCK, {"kind": "redis_flush", "target": "redis"}, {"kind": "error", "target": "gateway"}):
        asyncio.run(admin.check(parse_fault(document)))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"table": "prices"}, "table: products has no table 'prices'; it has .*products"),
        ({"target": "gateway"}, "target: gateway keeps nothing in PostgreSQL"),
    ],
)
def test_what_does_not_exist_is_refused(admin: Administrator, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FaultError, match=sentence):
        asyncio.run(admin.check(parse_fault({**LOCK, **fields})))


@pytest.mark.parametrize("document", [LOCK, {"kind": "redis_flush", "target": "redis"}])
def test_a_shop_that_does_not_say_where_its_stores_are_cannot_do_it(document: dict[str, Any]) -> None:
    with pytest.raises(FaultError, match=r"needs the .*address of .*; give the chaos service stores"):
        asyncio.run(Administrator(Stores()).check(parse_fault(document)))


def test_a_database_that_is_away_is_no_reason_to_wait() -> None:
    away = Administrator(Stores(database=SecretStr("postgresql+psycopg://nobody@127.0.0.1:9/none")))
    with pytest.raises(RefusedError, match="PostgreSQL does not answer, so db_lock cannot act"):
        asyncio.run(away.check(parse_fault(LOCK)))


@pytest.mark.parametrize(
    ("kind", "target", "users"),
    [
        ("db_slow_query", "gateway", "users, products, orders, notifications"),
        ("redis_slow", "orders", "gateway, users, products"),
        ("slow_consumer", "orders", "products, notifications"),
        ("publish_fail", "chaos", "gateway, users"),
    ],
)
def test_a_service_that_does_not_use_the_store_is_no_target(kind: str, target: str, users: str) -> None:
    with pytest.raises(FaultError, match=f"{kind} finds nothing to act on in {target}; choose one of {users}"):
        check_target(parse_fault({"kind": kind, "target": target}), [])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- what is waited for has no event
            await asyncio.sleep(0.02)
