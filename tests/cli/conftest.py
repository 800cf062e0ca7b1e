"""Fixtures of the command line's tests: the command as a process, in a state directory that must end empty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest

from cloudcart.cli.output_schema import PROMISED, output_schema
from cloudcart.lab.directory import STATE_DIR

DEADLINE = 60.0  # seconds; a start takes three when nothing else runs


@dataclass
class CommandLine:
    """``cloudcart`` as a user runs it; labs, processes and files of other tests and users are out of its sight."""

    state: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, *arguments: str, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with self.begun(*arguments, cwd=cwd, **environment) as process:
            out, err = process.communicate(timeout=3 * DEADLINE)
            return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @contextmanager
    def begun(
        self, *arguments: str, cwd: Path | None = None, module: str = "cloudcart.cli", **environment: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the block; it does not outlive the block."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd or self.state,
            env={**os.environ, STATE_DIR: str(self.state / "labs"), **self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def json(self, *arguments: str) -> Any:
        """Run a command that must succeed and return what it printed, which must be of the shape that is promised."""
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        if arguments[0] in PROMISED:
            jsonschema.validate(document, output_schema(arguments[0]))
        return document

    @staticmethod
    def wait_until(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
        """Wait until ``condition`` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
            time.sleep(0.02)

    def wait_until_nothing_is_left(self) -> None:
        """Wait as long as the lab promises to take at most, and a little for a busy machine."""
        self.wait_until(lambda: self.nothing_left, "everything has ended", 10.0)

    @property
    def processes(self) -> list[psutil.Process]:
        """Every living process that was started, directly or not, from here."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    @property
    def nothing_left(self) -> bool:
        """Whether no process and no lab's directory is left."""
        labs = self.state / "labs"
        return not self.processes and not [path for path in labs.glob("*") if path.is_dir()]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            mine = str(self.state)
            return mine in process.environ().get(STATE_DIR, "") or any(mine in word for word in process.cmdline())
        except psutil.Error:
            return False


@pytest.fixture(scope="module")
def cloudcart(tmp_path_factory: pytest.TempPathFactory, short_directory: Path) -> Iterator[CommandLine]:
    """The command line; at the end everything that was started by it must be gone."""
    state = short_directory / f"cli-{time.monotonic_ns():x}"
    state.mkdir(mode=0o711)
    command = CommandLine(state)
    yield command
    command("down", "--all")
    try:
        command.wait_until_nothing_is_left()
    finally:
        for process in command.processes:
            process.kill()


@pytest.fixture
def environment_without(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Return a function that gives the environment of a process which cannot import a package, nor can its children."""

    def environment(package: str) -> dict[str, str]:
        (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
        return {**os.environ, "PYTHONPATH": str(tmp_path)}

    return environment
