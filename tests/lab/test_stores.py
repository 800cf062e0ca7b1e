"""Each embedded store alone: it starts, says where it is, and leaves nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from cloudcart.exceptions import BackendError, LabError
from cloudcart.lab import postgres as postgres_module
from cloudcart.lab.broker import Broker
from cloudcart.lab.postgres import Postgres, wheel_installation
from cloudcart.lab.valkey import Valkey


@pytest.fixture
def directory(short_directory: Path) -> Iterator[Path]:
    folder = short_directory / "alone"
    folder.mkdir(mode=0o711)
    yield folder
    shutil.rmtree(folder)


def test_postgres_answers_at_its_url(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url()) as connection:
        row = connection.execute("SELECT current_setting('server_encoding'), current_setting('fsync')").fetchone()
    assert row == ("UTF8", "off")


def test_valkey_answers_at_its_url(valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        assert client.ping()


def test_broker_tells_a_loopback_address(broker: Broker) -> None:
    host, port = broker.address.split(":")
    assert host == "127.0.0.1"
    assert int(port) > 1024


def test_stopped_stores_are_gone(directory: Path) -> None:
    pids = []
    with Valkey(directory / "v") as valkey, Broker(directory / "b") as broker:
        assert valkey.process is not None
        assert broker.process is not None
        pids += [valkey.process.pid, broker.process.pid]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not valkey.socket.exists()


def test_failing_postgres_shows_the_end_of_its_log(directory: Path) -> None:
    (directory / "p" / "data").mkdir(parents=True)
    (directory / "p" / "data" / "occupied").touch()  # initdb refuses a folder that is not empty
    with pytest.raises(LabError, match=r"(?s)PostgreSQL ended with exit code.*postgres.log says.*not empty"):
        Postgres(directory / "p").__enter__()


def test_missing_program_names_the_command(directory: Path) -> None:
    with pytest.raises(BackendError, match=r"Valkey is missing.*pip install 'cloudcart\[lab\]'"):
        Valkey(directory / "v", server=directory / "none").start()
    with pytest.raises(BackendError, match=r"PostgreSQL is missing.*pip install 'cloudcart\[lab\]'"):
        Postgres(directory / "p", installation=directory / "none").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes user")
def test_root_is_told_about_a_closed_directory(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(BackendError, match="CLOUDCART_STATE_DIR"):
        Postgres(closed / "p").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes user")
def test_programs_in_a_closed_folder_are_copied_once(directory: Path) -> None:
    closed = directory / "venv"
    root = wheel_installation().parents[1]
    for part in postgres_module._parts_of(wheel_installation()):
        shutil.copytree(part, closed / part.relative_to(root), symlinks=True)
    closed.chmod(0o700)
    cache = directory / "cache"
    cache.mkdir(mode=0o711)
    installation = closed / wheel_installation().relative_to(root)
    for attempt in ("a", "b"):
        with Postgres(directory / attempt, installation=installation, cache=cache) as server:
            assert server.ready
    assert len(list(cache.iterdir())) == 1
