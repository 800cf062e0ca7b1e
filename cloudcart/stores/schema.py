"""What makes room for a service in PostgreSQL: a role, a schema of the same name, and its tables, as statements.

No service can read another's tables: a role owns its schema and has rights nowhere else. Used by ``stores.migrations``,
which knows what is missing. Not here: tables that exist and are to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.schema import CreateIndex, CreateTable

# As Alembic would make it: from here on its revisions lead (``stores.migrations``).
_NOTE_VERSION: Final = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY);
INSERT INTO alembic_version VALUES ({version})
"""


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
