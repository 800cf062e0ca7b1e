"""Creates what the services keep in PostgreSQL: for each one a role, a schema of the same name, and its tables.

Called by the lab and by tests before services start, on one connection; everything is created only where it is missing.
No service can read another's tables: a role owns its schema and has rights nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psycopg
from psycopg import sql
from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from cloudcart.exceptions import StoreError
from cloudcart.stores.database import conninfo


def create_schema(admin_url: str, tables: Mapping[str, MetaData], password: str | None = None) -> None:
    """Create role, schema and tables of each service in ``tables``, as far as they are missing.

    Args:
        admin_url: SQLAlchemy URL of the database, as a role that may create roles.
        tables: the tables of each service by the service's name, which names role and schema, too.
        password: of the roles; none where the server trusts who can reach it.

    Raises:
        StoreError: PostgreSQL is not there.
    """
    statements = [line for service, metadata in tables.items() for line in _statements(service, metadata, password)]
    try:
        with psycopg.connect(conninfo(admin_url), autocommit=True) as connection:
            connection.execute(sql.SQL(";\n").join(statements))  # one round trip, and one transaction
    except psycopg.OperationalError as error:
        raise StoreError(f"PostgreSQL is not there: {error}") from error


def url_for_role(admin_url: str, role: str, password: str | None = None) -> str:
    """Return ``admin_url`` as another role."""
    admin = make_url(admin_url)
    url = URL.create(admin.drivername, role, password, admin.host, admin.port, admin.database, admin.query)
    return url.render_as_string(hide_password=False)


def _statements(service: str, metadata: MetaData, password: str | None) -> Iterator[sql.Composable]:
    role = sql.Identifier(service)
    yield sql.SQL("DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$").format(
        role=role
    )
    if password is not None:
        yield sql.SQL("ALTER ROLE {role} PASSWORD {password}").format(role=role, password=sql.Literal(password))
    yield sql.SQL("ALTER ROLE {role} SET search_path = {role}").format(role=role)
    yield sql.SQL("CREATE SCHEMA IF NOT EXISTS {role} AUTHORIZATION {role}").format(role=role)
    yield sql.SQL("SET ROLE {role}").format(role=role)
    yield sql.SQL("SET search_path = {role}").format(role=role)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves this one untyped
    for table in metadata.sorted_tables:
        yield sql.SQL(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            yield sql.SQL(str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)))
    yield sql.SQL("RESET ROLE")
