"""``cloudcart migrate``: a database is created, found up to date, checked, refused."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from cloudcart.lab.postgres import Postgres
from cloudcart.settings import WITH_DATABASE


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE longlived")
        yield postgres.url().replace("/postgres?", "/longlived?")
        connection.execute("DROP DATABASE longlived WITH (FORCE)")


def test_a_database_is_created_once(cloudcart, database):
    assert cloudcart("migrate", "--database", database, "--check").returncode == 1
    made = cloudcart.json("migrate", "--database", database, "--role-password", "it's secret")["schemas"]
    assert [(schema["schema"], schema["found"], schema["changes"]) for schema in made] == [
        (name, None, True) for name in WITH_DATABASE
    ]
    again = cloudcart("migrate", "--check", CLOUDCART_ADMIN_DATABASE=database)
    assert again.returncode == 0
    assert again.stdout.count("up to date") == len(WITH_DATABASE)


def test_a_newer_database_is_refused(cloudcart, database):
    cloudcart.json("migrate", "--database", database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE users.alembic_version SET version_num = '9999'")
    done = cloudcart("migrate", "--database", database)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "'users' is at revision 9999" in done.stderr


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [("nonsense", 2, "no address of a database"), ("postgresql://me@127.0.0.1:9/x", 4, "PostgreSQL is not there")],
)
def test_an_address_that_leads_nowhere(cloudcart, url, code, said):
    done = cloudcart("migrate", "--database", url)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
