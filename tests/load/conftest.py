"""Fixtures for tests that give load: a small shop to give it to, and a quick way to start some."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import httpx
import pytest

from cloudcart.load import LoadProfile, start_load


class SmallShopClient:
    """The shop as a test sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=10)

    def behave(self, **behaviour) -> None:
        """Misbehave on requests that match the regular expression ``on``; without arguments: behave."""
        self._client.post("/behave", json=behaviour)

    def seen(self) -> list[dict]:
        """Every request since the last ``forget``: method, path, body and headers."""
        return self._client.get("/seen").json()

    def forget(self) -> None:
        self._client.delete("/seen")

    def close(self) -> None:
        self._client.close()


@contextmanager
def running_shop():
    """Start the shop in a process of its own; yield a client of it."""
    program = Path(__file__).with_name("small_shop.py")
    with Popen([sys.executable, str(program)], stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            client = SmallShopClient(process.stdout.readline().strip())
            yield client
            client.close()
        finally:
            process.stdin.close()  # which is its order to end
            process.wait(timeout=10)


@pytest.fixture(scope="module")
def one_shop():
    with running_shop() as shop:
        yield shop


@pytest.fixture
def shop(one_shop) -> SmallShopClient:
    """The shop, well behaved and without memory of earlier requests."""
    one_shop.forget()
    one_shop.behave()
    return one_shop


@pytest.fixture
def give(shop, tmp_path):
    """Start load: ``give("checkout", rate=20, duration="1s")``; nothing is left running afterwards."""
    started = []

    def start(journey="browse", *, accounts=(), **profile):
        profile = LoadProfile(journey=str(journey), **{"duration": "1s", **profile})
        started.append(start_load(profile, host=shop.url, users=accounts, folder=tmp_path / "run"))
        return started[-1]

    yield start
    for load in started:
        load.close()


@pytest.fixture
def write_journey(tmp_path):
    """Write a journey of one's own; return its path."""

    def write(visit, *, name="mine.py", before="", inside="needs_account = False"):
        body = "\n".join(f"        {line}" for line in visit.splitlines())
        file = tmp_path / name
        file.write_text(
            f"from cloudcart.load import Journey\n{before}\n"
            f"class Mine(Journey):\n    {inside}\n    def visit(self):\n{body}\n"
        )
        return file

    return write
