"""Fixtures that several folders of tests share: a directory with a short path, and each store alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cloudcart.lab.broker import Broker
from cloudcart.lab.postgres import Postgres
from cloudcart.lab.valkey import Valkey

settings.register_profile("cloudcart", deadline=None)  # how long an example takes says more about the machine's load
settings.load_profile("cloudcart")


@pytest.fixture(scope="session")
def short_directory() -> Iterator[Path]:
    """A directory that every user may enter (root runs PostgreSQL as nobody), with room for a socket's path."""
    directory = Path(tempfile.mkdtemp(prefix="cc-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres(short_directory: Path) -> Iterator[Postgres]:
    """A PostgreSQL server of this test process."""
    with Postgres(short_directory / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def valkey(short_directory: Path) -> Iterator[Valkey]:
    """A Valkey server of this test process."""
    with Valkey(short_directory / "valkey") as server:
        yield server


@pytest.fixture(scope="session")
def broker(short_directory: Path) -> Iterator[Broker]:
    """A mock Kafka broker of this test process."""
    with Broker(short_directory / "broker") as server:
        yield server
