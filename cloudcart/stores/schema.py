"""Creates what the services keep in PostgreSQL: for each one a role, a schema of the same name, and its tables.

No service can read another's tables: a role owns its schema and has rights nowhere else. Used by ``stores.migrations``,
which knows what is missing, and by tests of the stores. Not here: tables that exist and are to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from cloudcart.exceptions import StoreError
from cloudcart.stores.database import conninfo

# As Alembic would make it: from here on its revisions lead (``stores.migrations``).
_NOTE_VERSION: Final = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY);
INSERT INTO alembic_version VALUES ({version})
"""


def create_schema(admin_url: str, tables: Mapping[str, MetaData], password: str | None = None) -> None:
    """Create role, schema and tables of each service in ``tables``, as far as they are missing.

    Args:
        admin_url: SQLAlchemy URL of the database, as a role that may create roles.
        tables: the tables of each service by the service's name, which names role and schema, too.
        password: of the roles; none where the server trusts who can reach it.

    Raises:
        StoreError: PostgreSQL is not there.
    """
    try:
        with psycopg.connect(conninfo(admin_url), autocommit=True) as connection:
            for service, metadata in tables.items():
                run_together(connection, (*role_statements(service, password), *table_statements(service, metadata)))
    except psycopg.OperationalError as error:
        raise StoreError(f"PostgreSQL is not there: {error}") from error


def url_for_role(admin_url: str, role: str, password: str | None = None) -> str:
    """Return ``admin_url`` as another role."""
    admin = make_url(admin_url)
    url = URL.create(admin.drivername, role, password, admin.host, admin.port, admin.database, admin.query)
    return url.render_as_string(hide_password=False)


def run_together(connection: psycopg.Connection[Any], statements: Iterable[sql.Composable]) -> None:
    """Run statements in one round trip and one transaction."""
    connection.execute(sql.SQL(";\n").join(statements))


def role_statements(service: str, password: str | None) -> Iterator[sql.Composable]:
    """Yield what gives a service its role and its schema, as far as they are missing."""
    role = sql.Identifier(service)
    yield sql.SQL("DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$").format(
        role=role
    )
    if password is not None:
        yield sql.SQL("ALTER ROLE {role} PASSWORD {password}").format(role=role, password=sql.Literal(password))
    yield sql.SQL("ALTER ROLE {role} SET search_path = {role}").format(role=role)
    yield sql.SQL("CREATE SCHEMA IF NOT EXISTS {role} AUTHORIZATION {role}").format(role=role)


def table_statements(service: str, metadata: MetaData, version: str | None = None) -> Iterator[sql.Composable]:
    """Yield what creates a service's missing tables, as its own role.

    Args:
        service: names role and schema.
        metadata: the tables.
        version: the revision to note for a schema that had none of them.
    """
    role = sql.Identifier(service)
    yield sql.SQL("SET ROLE {role}").format(role=role)
    yield sql.SQL("SET search_path = {role}").format(role=role)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves this one untyped
    for table in metadata.sorted_tables:
        yield sql.SQL(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            yield sql.SQL(str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)))
    if version is not None:
        yield sql.SQL(_NOTE_VERSION).format(version=sql.Literal(version))
    yield sql.SQL("RESET search_path")
    yield sql.SQL("RESET ROLE")
