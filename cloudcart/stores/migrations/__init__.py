"""Brings the services' schemas up to date: a missing one is created from its tables, an older one upgraded by Alembic.

The revisions are beside the tables they lead to (``services/*/migrations``), one line of them for each service, whose
schema notes its own place in the table ``alembic_version``. Alembic is imported only when there is something to
upgrade: a lab's fresh database, and one that is up to date, need no more than two questions. Called by
``services.migrate_database``; an advisory lock makes those who start at the same time wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import psycopg
from psycopg import sql
from sqlalchemy import MetaData
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from cloudcart.exceptions import SchemaError, StoreError, UsageError
from cloudcart.stores.database import conninfo
from cloudcart.stores.schema import role_statements, run_together, table_statements

VERSION_TABLE: Final = "alembic_version"
FIRST: Final = "0001"
"""The schema as it was before there were revisions: tables without a version are taken for that."""
UNVERSIONED: Final = "0000"
"""What such tables are reported to be at."""

_LOCK: Final = "SELECT pg_advisory_lock(hashtext('cloudcart'), hashtext('migrations'))"
# An upgrade of many rows takes its time; whoever waits for another's does not wait for ever.
_OPTIONS: Final = "-c statement_timeout=0 -c lock_timeout={milliseconds} -c timezone=UTC"
_SCHEMAS: Final = """
SELECT namespace.nspname, bool_or(relname = %s), bool_or(relkind = 'r')
FROM pg_namespace AS namespace LEFT JOIN pg_class ON relnamespace = namespace.oid
WHERE namespace.nspname = ANY(%s) GROUP BY namespace.nspname
"""


class Schema(NamedTuple):
    """What a service keeps in PostgreSQL: its tables as they are declared now, and the folder of its revisions."""

    tables: MetaData
    revisions: Path

    @property
    def head(self) -> str:
        """The newest revision: revisions form one line, and their files begin with their number."""
        return max(path.name.partition("_")[0] for path in self.revisions.glob("[0-9]*.py"))


class Upgrade(NamedTuple):
    """What became, or would become, of one schema: ``found`` is its revision before, None if there were no tables."""

    schema: str
    found: str | None
    reached: str

    @property
    def changes(self) -> bool:
        """Whether there was anything to do."""
        return self.found != self.reached


def inspect(admin_url: str, schemas: Mapping[str, Schema]) -> list[Upgrade]:
    """Return what :func:`migrate` would do; changes nothing, and raises as that does."""
    with _connected(admin_url, wait=0.0) as connection:
        return _plan(connection, schemas)


def migrate(
    admin_url: str, schemas: Mapping[str, Schema], password: str | None = None, *, wait: float = 60.0
) -> list[Upgrade]:
    """Bring every schema to its newest revision, each in one transaction, and return what was done.

    Args:
        admin_url: SQLAlchemy URL of the database, as a role that may create roles and schemas.
        schemas: by the name of the service, which names role and schema, too.
        password: of roles that log in with one; none where the server trusts who can reach it.
        wait: seconds to wait for another process that migrates, and for each lock on a table that is in use.

    Raises:
        SchemaError: a schema is newer than this version knows, the role may not change it, or its upgrade failed; that
            schema is as it was.
        UsageError: ``admin_url`` is no URL.
        StoreError: PostgreSQL is not there, or was locked for longer than ``wait``.
    """
    with _connected(admin_url, wait) as connection:
        connection.execute(_LOCK)  # until the connection ends
        plan = _plan(connection, schemas)
        statements = [line for name in schemas for line in role_statements(name, password)]
        for step in plan:
            if step.found is None:
                statements += table_statements(step.schema, schemas[step.schema].tables, step.reached)
        run_together(connection, statements)
        for step in plan:
            if step.changes and step.found is not None:
                _upgrade(admin_url, step, schemas[step.schema], wait)
    return plan


def no_way_back() -> NoReturn:
    """Refuse a downgrade; every revision's ``downgrade`` is this.

    Raises:
        SchemaError: always.
    """
    raise SchemaError("a database is not brought back to an older revision; restore a copy from before the upgrade")


@contextmanager
def _connected(admin_url: str, wait: float) -> Iterator[psycopg.Connection[Any]]:
    try:
        address = conninfo(_patient(admin_url, wait))
    except ArgumentError:
        raise UsageError("this is no address of a database; write postgresql://ROLE@HOST/NAME") from None
    try:
        with psycopg.connect(address, autocommit=True) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaError(f"this role may not do it ({error}); give one that may create roles and schemas") from None
    except psycopg.errors.LockNotAvailable:
        raise StoreError(f"another process has been migrating this database for over {wait:g} s; try again") from None
    except psycopg.OperationalError as error:
        raise StoreError(f"PostgreSQL is not there: {error}") from error


def _patient(admin_url: str, wait: float) -> str:
    options = _OPTIONS.format(milliseconds=int(wait * 1000))
    return make_url(admin_url).update_query_dict({"options": options}).render_as_string(hide_password=False)


def _plan(connection: psycopg.Connection[Any], schemas: Mapping[str, Schema]) -> list[Upgrade]:
    rows = connection.execute(_SCHEMAS, (VERSION_TABLE, [*schemas])).fetchall()
    versions: dict[str, str | None] = {name: UNVERSIONED for name, _, has_tables in rows if has_tables}
    if versioned := [name for name, has_version, _ in rows if has_version]:
        versions |= connection.execute(sql.SQL(" UNION ALL ").join(map(_version_of, versioned))).fetchall()
    plan = [Upgrade(name, versions.get(name), schema.head) for name, schema in schemas.items()]
    for step in plan:
        if step.found is not None and step.found > step.reached:
            raise SchemaError(
                f"the schema {step.schema!r} is at revision {step.found}, and this version of CloudCart knows "
                f"{step.reached} as the newest; install the version that was here before, or a later one"
            )
    return plan


def _version_of(schema: str) -> sql.Composable:
    table = sql.Identifier(schema, VERSION_TABLE)
    return sql.SQL("SELECT {name}, version_num FROM {table}").format(name=sql.Literal(schema), table=table)


def _upgrade(admin_url: str, step: Upgrade, schema: Schema, wait: float) -> None:
    """Run the revisions that a schema lacks, as its own role."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    from cloudcart.stores.migrations.running import run_revisions

    url = make_url(_patient(admin_url, wait)).set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text(f'SET LOCAL ROLE "{step.schema}"'))
            connection.execute(text(f'SET LOCAL search_path = "{step.schema}"'))
            run_revisions(connection, schema.revisions, adopt=FIRST)
    except DBAPIError as error:
        reason = str(error.orig).partition("\n")[0]
        raise SchemaError(
            f"the schema {step.schema!r} could not be upgraded from revision {step.found} to {step.reached}, and is as "
            f"it was: {reason}"
        ) from error
