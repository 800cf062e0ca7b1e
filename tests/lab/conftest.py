"""Labs for tests: a state directory of this test process's own, one lab that many tests look at, processes that end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cloudcart.lab import Lab, start
from cloudcart.lab.directory import STATE_DIR


@pytest.fixture(scope="session", autouse=True)
def state(short_directory: Path) -> Iterator[Path]:
    """Where the labs of these tests live; empty at the end."""
    directory = short_directory / "labs"
    before = os.environ.get(STATE_DIR)
    os.environ[STATE_DIR] = str(directory)
    yield directory
    os.environ.pop(STATE_DIR)
    if before is not None:
        os.environ[STATE_DIR] = before
    left = [path.name for path in directory.glob("*") if path.is_dir()]
    assert not left, f"labs were left behind: {left}"


@pytest.fixture(scope="session")
def lab(state: Path) -> Iterator[Lab]:
    """A lab that tests may break and must leave whole."""
    with start(name="shared", prometheus=False) as running:
        yield running


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process runs; one that ended and waits for its parent does not."""

    def look(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return look


@pytest.fixture
def is_gone(alive: Callable[[int], bool]) -> Callable[[dict], bool]:
    """Whether nothing is left of a lab, given its ``directory`` and ``pids``."""
    return lambda said: not Path(said["directory"]).exists() and not any(alive(pid) for pid in said["pids"].values())
