"""Generators that are prepared before they are needed: used once, replaced if they died, ended if nobody took them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from cloudcart.exceptions import LoadError
from cloudcart.load import Generators, LoadProfile, start_load

USERS = [SimpleNamespace(user_id=i, username=f"user-{i}", token=f"secret-{i}") for i in range(1, 4)]


@pytest.fixture
def generators():
    with Generators() as generators:
        yield generators


@pytest.fixture
def begin(shop, tmp_path, generators):
    """Start load by what has been prepared; nothing is left running afterwards."""
    started = []

    def start(folder="run", **profile):
        values = LoadProfile(**{"journey": "browse", "duration": "10s", "rate": 20, **profile})
        started.append(start_load(values, host=shop.url, users=USERS, folder=tmp_path / folder, generators=generators))
        return started[-1]

    yield start
    for load in started:
        load.close()


def children() -> set[int]:
    """Return the generators of this process that run."""
    return {
        child.pid
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "cloudcart.load.generator" in child.cmdline()
    }


def test_a_prepared_generator_gives_load_once(begin, generators, wait_for):
    generators.prepare()
    generators.prepare()  # there is one already
    wait_for(lambda: len(children()) == 1)
    [prepared] = children()
    first, second = begin("first"), begin("second")
    assert first.pid == prepared != second.pid
    first.wait_for_traffic()
    second.wait_for_traffic()


def test_one_that_died_while_it_waited_is_replaced(begin, generators, wait_for):
    generators.prepare()
    wait_for(children)
    [prepared] = children()
    os.kill(prepared, signal.SIGKILL)
    wait_for(lambda: not children())
    load = begin()
    load.wait_for_traffic()
    assert load.pid != prepared


def test_one_from_other_surroundings_is_replaced(begin, generators, wait_for, monkeypatch, tmp_path):
    """A journey may read the environment, and modules in the folder of its caller."""
    for change in (lambda: monkeypatch.setenv("FOR_A_JOURNEY", "1"), lambda: monkeypatch.chdir(tmp_path)):
        generators.prepare()
        wait_for(children)
        [prepared] = children()
        change()
        load = begin()
        load.wait_for_traffic()
        assert load.pid != prepared
        load.stop(drain="0s")
        assert not children()


def test_one_that_nobody_took_ends(wait_for):
    with Generators() as generators:
        generators.prepare()
        wait_for(children)
    assert not children()


def test_one_that_waits_ends_with_its_parent(wait_for):
    code = (
        "from cloudcart.load import Generators; g = Generators(); g.prepare(); print(g.take().pid, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        generator = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    wait_for(lambda: not generator.is_running() or generator.status() == psutil.STATUS_ZOMBIE)


def test_tokens_are_never_written_down(begin, tmp_path):
    load = begin(journey="checkout")
    load.wait_for_traffic()
    load.stop()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path.name for path in files if b"secret-1" in path.read_bytes()]


def test_what_it_says_before_it_has_a_log_is_not_lost(shop, tmp_path, generators, monkeypatch):
    (tmp_path / "locust.py").write_text("raise ImportError('locust is not whole')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LoadError, match=r"ended with exit code 1: ImportError: locust is not whole"):
        start_load(LoadProfile(journey="browse", rate=1), host=shop.url, folder=tmp_path / "run", generators=generators)
