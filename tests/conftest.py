"""Fixtures that several folders of tests share: a directory with a short path, each store alone, a server."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import settings

from cloudcart.lab.broker import Broker
from cloudcart.lab.postgres import Postgres
from cloudcart.lab.valkey import Valkey

settings.register_profile("cloudcart", deadline=None)  # how long an example takes says more about the machine's load
settings.load_profile("cloudcart")


_LONGEST = ("test_life_of_orders.py", "test_kill_run.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: where tests run two at a time, it would end alone."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


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


@pytest.fixture(scope="session")
def prometheus_program() -> Callable[[str], str]:
    """Finds ``prometheus`` or ``promtool``; where it is missing the test is skipped, or fails if that is demanded."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None and os.environ.get("CLOUDCART_REQUIRE_PROMETHEUS") == "1":
            pytest.fail(f"CLOUDCART_REQUIRE_PROMETHEUS=1, but there is no {name} on the PATH; install prometheus")
        return found or pytest.skip(f"there is no {name} on the PATH; install prometheus")

    return find


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., float]:
    """Waits until a condition holds, and returns how long that took."""

    def wait(condition: Callable[[], object], timeout: float = 15.0) -> float:
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < timeout, f"not so within {timeout:g} s"
            time.sleep(0.01)
        return time.monotonic() - began

    return wait


@contextmanager
def _serving(app: Any) -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                assert time.monotonic() < deadline, "the server did not start in time"
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture(scope="session")
def serving() -> Callable[[Any], AbstractContextManager[str]]:
    """Serves an application on a free port while its context lasts, in a thread; gives the address."""
    return _serving
