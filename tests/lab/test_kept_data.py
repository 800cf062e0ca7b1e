"""Data that outlive a lab: orders and log-ins are there, and upgraded, after the next start, however the lab ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from cloudcart.exceptions import LabError, UsageError
from cloudcart.lab import Lab, start
from cloudcart.lab.kept_data import KeptData
from cloudcart.settings import Settings


@pytest.fixture
def directory(short_directory: Path) -> Iterator[Path]:
    path = short_directory / "kept"
    yield path
    shutil.rmtree(path)


def client(lab: Lab) -> httpx.Client:
    headers = {"authorization": f"Bearer {lab.token('demo')}"}
    return httpx.Client(base_url=lab.urls["gateway"], headers=headers, timeout=10, trust_env=False)


def order(lab: Lab) -> int:
    with client(lab) as connected:
        answer = connected.post("/api/orders", json={"items": [{"product_id": 1, "quantity": 1}]})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def orders(lab: Lab) -> set[int]:
    with client(lab) as connected:
        return {each["id"] for each in connected.get("/api/orders/my-orders").json()}


def verdicts(lab: Lab) -> set[str]:
    with lab.tap_events(from_beginning=True) as tap:
        return {result.verdict for result in lab.check_invariants(tap)}


def make_older(lab: Lab) -> None:
    """Leave the order service's tables as a version of CloudCart did that knew no revisions."""
    with psycopg.connect(lab.database_url) as connection:
        connection.execute("DROP TABLE orders.alembic_version")
        connection.execute("DROP INDEX orders.orders_of_status, orders.idempotency_keys_by_age")
        connection.execute("CREATE INDEX orders_by_status ON orders.orders (status)")


def test_data_outlive_an_orderly_end_and_a_killed_lab(directory: Path) -> None:
    with start(name="first", prometheus=False, data=directory) as lab:
        logins, placed = lab.logins, {order(lab)}
        with pytest.raises(LabError, match="another lab keeps its data in"):
            start(name="second", prometheus=False, data=directory)
    with start(name="third", prometheus=False, data=directory) as lab:
        assert lab.logins == logins
        assert orders(lab) == placed
        placed.add(order(lab))
        make_older(lab)
        os.kill(lab.pids["supervisor"], signal.SIGKILL)
    with start(name="fourth", prometheus=False, data=directory) as lab:
        assert orders(lab) == placed
        with psycopg.connect(lab.database_url) as connection:
            assert connection.execute("SELECT version_num FROM orders.alembic_version").fetchone() == ("0002",)
        assert verdicts(lab) == {"pass", "inconclusive"}, "the broker does not know what happened before it began"
        lab.reset()
        assert verdicts(lab) == {"pass"}
    assert {path.name for path in directory.iterdir()} == {"auth.json", "lock", "postgres"}


def test_passwords_of_users_who_are_there_cannot_be_chosen_again(directory: Path) -> None:
    kept = KeptData(directory)
    settings = Settings().with_overrides({f"auth.{name}": name for name in ("admin_password", "demo_password")})
    kept.note(settings)
    assert (directory / "auth.json").stat().st_mode & 0o077 == 0
    assert kept.settle({"auth.admin_password": "admin_password"})["auth.demo_password"] == "demo_password"
    with pytest.raises(UsageError, match=r"leave auth\.admin_password away"):
        kept.settle({"auth.admin_password": "another"})


def test_a_server_that_still_ends_is_waited_for(directory: Path) -> None:
    file = directory / "postgres" / "data" / "postmaster.pid"
    file.parent.mkdir(parents=True)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as server:
        file.write_text(f"{server.pid}\n")
        threading.Timer(0.2, server.communicate).start()
        KeptData(directory)
        assert server.returncode == 0


def test_a_place_for_data_that_is_none_is_named(short_directory: Path) -> None:
    file = short_directory / "no-directory"
    file.touch()
    with pytest.raises(LabError, match="no data can be kept in"):
        KeptData(file / "data")
    file.unlink()
