"""Migrations: revisions and tables agree in everything PostgreSQL knows, and an older database keeps its rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from cloudcart.exceptions import SchemaError, StoreError
from cloudcart.lab.postgres import Postgres
from cloudcart.services import service_schemas
from cloudcart.stores.database import conninfo
from cloudcart.stores.migrations import FIRST, UNVERSIONED, Upgrade, inspect, migrate
from cloudcart.stores.migrations.running import configuration

# What alembic's comparison does not see, from PostgreSQL's own catalogue; names are without their schema.
_CATALOGUE = """
SELECT 'table', relname, relkind::text, reloptions::text, relacl::text, pg_get_userbyid(relowner)
FROM pg_class WHERE relnamespace = %(schema)s::text::regnamespace AND relkind IN ('r', 'S', 'i')
UNION ALL
SELECT 'column', attrelid::regclass::text, attname,
    format_type(atttypid, atttypmod) || ' ' || attnotnull || attidentity::text,
    pg_get_expr(adbin, adrelid), attnum::text
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relnamespace = %(schema)s::text::regnamespace AND relkind = 'r' AND attnum > 0
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid), ''
FROM pg_constraint WHERE connamespace = %(schema)s::text::regnamespace
UNION ALL
SELECT 'index', tablename, indexname, indexdef, '', '' FROM pg_indexes WHERE schemaname = %(schema)s::text
UNION ALL
SELECT 'grant', nspname, nspacl::text, pg_get_userbyid(nspowner), '', '' FROM pg_namespace
WHERE nspname = %(schema)s::text
ORDER BY 1, 2, 3
"""


@pytest.fixture
def databases(postgres: Postgres) -> Iterator[Callable[[str], str]]:
    """Return a function that makes an empty database and returns its URL; they are dropped at the end."""
    made: list[str] = []
    with psycopg.connect(postgres.url(), autocommit=True) as connection:

        def make(name: str) -> str:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
            made.append(name)
            return make_url(postgres.url(driver="+psycopg")).set(database=name).render_as_string(hide_password=False)

        yield make
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def old(databases: Callable[[str], str]) -> str:
    """A database as CloudCart made it before there were revisions: no version is noted anywhere."""
    url = databases("old")
    migrate(url, service_schemas())
    with opened(url) as connection:
        for name, schema in service_schemas().items():
            connection.execute(f'DROP SCHEMA "{name}" CASCADE; CREATE SCHEMA "{name}" AUTHORIZATION "{name}"')
            connection.execute(f'SET ROLE "{name}"; SET search_path = "{name}"')
            for statement in _first_revision(schema.revisions):
                connection.execute(statement)
            connection.execute("RESET ROLE; RESET search_path")
    return url


def opened(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(conninfo(url), autocommit=True)


def _first_revision(revisions: Path) -> list[str]:
    """The statements of a service's first revision."""
    script = ScriptDirectory.from_config(configuration(revisions)).get_revision(FIRST)
    found: list[str] = []

    class Recorder:
        execute = staticmethod(found.append)

    module = script.module
    original, module.op = module.op, Recorder
    module.upgrade()
    module.op = original
    return found


def catalogue(url: str, schema: str) -> list[tuple[Any, ...]]:
    with opened(url) as connection:
        connection.execute(f'SET search_path = "{schema}"')
        return connection.execute(_CATALOGUE, {"schema": schema}).fetchall()


@pytest.mark.parametrize("service", service_schemas())
def test_revisions_are_one_line_and_their_files_say_which_is_the_newest(service: str) -> None:
    schema = service_schemas()[service]
    script = ScriptDirectory.from_config(configuration(schema.revisions))
    assert script.get_heads() == [schema.head]
    revisions = list(script.walk_revisions())
    assert [Path(each.path).name[:4] for each in revisions] == [each.revision for each in revisions]
    assert revisions[-1].revision == FIRST
    with pytest.raises(SchemaError, match="restore a copy"):
        revisions[0].module.downgrade()


def test_upgraded_and_created_schemas_are_the_same(databases: Callable[[str], str], old: str) -> None:
    new = databases("new")
    assert {step.found for step in migrate(new, service_schemas())} == {None}
    assert {step.found for step in migrate(old, service_schemas())} == {UNVERSIONED}
    for name in service_schemas():
        assert catalogue(old, name) == catalogue(new, name)


def test_alembic_sees_no_difference_from_the_tables(old: str) -> None:
    migrate(old, service_schemas())
    engine = create_engine(old, poolclass=NullPool)
    for name, schema in service_schemas().items():
        with engine.connect() as connection:
            connection.execute(text(f'SET ROLE "{name}"'))
            connection.execute(text(f'SET search_path = "{name}"'))
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            assert compare_metadata(context, schema.tables) == []


def test_an_older_database_keeps_its_rows(old: str) -> None:
    with opened(old) as connection:
        connection.execute("""
            INSERT INTO users.users (username, email, password_hash) VALUES ('ann', 'ann@example.com', 'x');
            INSERT INTO orders.orders (user_id, total_amount, status)
                SELECT n % 7, n, CASE n % 2 WHEN 0 THEN 'confirmed' ELSE 'cancelled' END FROM generate_series(1, 500) n;
            INSERT INTO orders.order_items (order_id, product_id, product_name, quantity, price)
                SELECT id, 1, 'a pen', 1, total_amount FROM orders.orders;
            INSERT INTO notifications.inbox (event_id) SELECT gen_random_uuid() FROM generate_series(1, 100);
        """)
        tables = ("users.users", "orders.orders", "orders.order_items", "notifications.inbox")
        before = [connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables]
        assert inspect(old, service_schemas())[2] == Upgrade("orders", UNVERSIONED, service_schemas()["orders"].head)
        migrate(old, service_schemas())
        assert [connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables] == before
    assert not any(step.changes for step in inspect(old, service_schemas()))
    assert not any(step.changes for step in migrate(old, service_schemas()))


def test_a_versioned_schema_goes_on_from_its_revision(old: str) -> None:
    with opened(old) as connection:
        connection.execute("SET ROLE orders; CREATE TABLE orders.alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO orders.alembic_version VALUES (%s)", (FIRST,))
    found = {step.schema: step.found for step in migrate(old, service_schemas())}
    assert (found["orders"], found["users"]) == (FIRST, UNVERSIONED)
    assert not any(step.changes for step in inspect(old, service_schemas()))


def test_starters_wait_for_each_other(old: str) -> None:
    done: list[list[Upgrade]] = []
    threads = [threading.Thread(target=lambda: done.append(migrate(old, service_schemas()))) for _ in range(3)]
    with opened(old) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext('cloudcart'), hashtext('migrations'))")
        for thread in threads:
            thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        deadline = time.monotonic() + 20
        while connection.execute(waiting).fetchone() != (3,):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(StoreError, match="another process"):
            migrate(old, service_schemas(), wait=0.1)
        assert done == []
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(any(step.changes for step in plan) for plan in done) == [False, False, True]


def test_a_newer_database_is_refused(old: str) -> None:
    migrate(old, service_schemas())
    with opened(old) as connection:
        connection.execute("UPDATE orders.alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match=r"'orders' is at revision 9999.*or a later one"):
        migrate(old, service_schemas())


def test_a_revision_that_fails_leaves_its_schema_as_it_was(old: str) -> None:
    with opened(old) as connection:
        connection.execute("DROP INDEX orders.orders_by_status")
    before = catalogue(old, "orders")
    with pytest.raises(SchemaError, match=r"'orders' could not be upgraded from revision 0000.*orders_by_status"):
        migrate(old, service_schemas())
    assert catalogue(old, "orders") == before


def test_roles_that_a_copied_database_lacks_are_made(databases: Callable[[str], str]) -> None:
    url = databases("copied")
    migrate(url, service_schemas(), "first")
    migrate(url, service_schemas(), "second")
    with opened(url) as connection:
        roles = connection.execute("SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s)", ([*service_schemas()],))
        assert roles.fetchone() == (4,)
