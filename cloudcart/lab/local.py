"""The backends on this machine, seen from who wants a lab: start a supervisor and listen until all is ready.

``embedded`` needs no Docker, and nothing installed beside the wheels; ``containers`` runs the same in Docker. Light to
import; the supervisor (``lab.supervisor``) does the work.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from cloudcart.exceptions import CloudCartError, LabError
from cloudcart.lab import control
from cloudcart.lab.backend import Progress, StartRequest
from cloudcart.lab.directory import LabDirectory, create
from cloudcart.lab.kafka import KAFKA_HOME
from cloudcart.lab.process import log_tail
from cloudcart.lab.progress import read_line

_START_DEADLINE: Final = {"embedded": 120.0, "containers": 900.0}  # seconds; images may have to be pulled
_END_DEADLINE: Final = {"embedded": 5.0, "containers": 20.0}
_FEWER_ARENAS: Final = {"MALLOC_ARENA_MAX": "2"}  # threads of a service share memory pools: megabytes saved in each


class LocalHandle:
    """A lab on this machine; by itself it neither ends the lab nor is told how it ended."""

    def __init__(self, directory: LabDirectory) -> None:
        self._directory = directory

    @property
    def directory(self) -> Path:
        """Where the lab keeps its files."""
        return self._directory.path

    def record(self) -> dict[str, Any]:
        """Return what the lab is now; raises LabError when it is gone."""
        return self._directory.read_record()

    def control(self, command: str, **arguments: object) -> dict[str, Any]:
        """Ask the supervisor; raises UsageError for what it does not know, LabError when it is gone."""
        return control.call(self._directory.control_socket, {"command": command, **arguments})

    def close(self) -> None:
        """Let go of it: there is nothing to do."""


class OwnHandle(LocalHandle):
    """A lab that this process starts, and that ends with it.

    Args:
        directory: the lab's.
        lock: descriptor of its lock, for the supervisor to inherit.
        backend: name of the lab's.
    """

    def __init__(self, directory: LabDirectory, lock: int, backend: str) -> None:
        super().__init__(directory)
        self._backend = backend
        with directory.log("supervisor").open("wb") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-P", "-m", "cloudcart.lab.supervisor", str(directory.path), str(lock)],
                stdin=subprocess.PIPE,  # the lifeline: its end, when this process closes it or dies, ends the lab
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,  # select() must see every line
                env=_environment(),
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C reaches this process, which then ends the lab in order
            )

    def wait_ready(self, progress: Progress) -> None:
        """Wait until the supervisor says that all is ready; raises what it reports otherwise."""
        patience = _START_DEADLINE[self._backend]
        deadline = time.monotonic() + patience
        while line := self._hear(deadline - time.monotonic()):
            phase = read_line(line)
            if phase is None:
                return
            progress(phase)
        how = "died" if self._supervisor.poll() is not None else f"did not get ready within {patience:g} s"
        raise LabError(f"the lab's supervisor {how}{log_tail(self._directory.log('supervisor'))}")

    def record(self) -> dict[str, Any]:
        """Return what the lab is now; raises LabError that says why when it is gone."""
        try:
            return super().record()
        except LabError as error:
            raise self._last_words(error) from None

    def control(self, command: str, **arguments: object) -> dict[str, Any]:
        """Ask the supervisor; raises UsageError for what it does not know, LabError that says why when it is gone."""
        try:
            return super().control(command, **arguments)
        except LabError as error:
            raise self._last_words(error) from None

    def let_go(self) -> LocalHandle:
        """Return a handle to the lab, which had been asked to detach and is ready: it goes on without this process."""
        self._close_pipes()
        self._supervisor.wait()  # its child is the supervisor; see there
        return LocalHandle(self._directory)

    def close(self) -> None:
        """End the lab and wait until nothing of it is left; idempotent."""
        if self._supervisor.stdin is not None and not self._supervisor.stdin.closed:
            self._supervisor.stdin.close()
            if not self._directory.wait_until_left(_END_DEADLINE[self._backend]):
                with suppress(ProcessLookupError):  # all other processes of the lab die with the supervisor
                    os.killpg(self._supervisor.pid, signal.SIGKILL)
            self._supervisor.wait()
            self._directory.remove()  # for a supervisor that was killed
            self._close_pipes()

    def _hear(self, patience: float) -> bytes:
        """Return the next line from the supervisor; empty when it says no more, or nothing for so many seconds."""
        assert self._supervisor.stdout is not None
        readable, _, _ = select.select([self._supervisor.stdout], [], [], max(0.0, patience))
        return self._supervisor.stdout.readline() if readable else b""

    def _last_words(self, error: LabError) -> CloudCartError:
        if self._supervisor.stdout is None or self._supervisor.stdout.closed:
            return error
        try:
            while line := self._hear(1.0):
                read_line(line)
        except CloudCartError as said:
            return said
        return error

    def _close_pipes(self) -> None:
        for pipe in (self._supervisor.stdin, self._supervisor.stdout):
            if pipe is not None:
                pipe.close()


def _environment() -> dict[str, str]:
    """Return the supervisor's: it works in another folder, so what names one is to be absolute."""
    home = {KAFKA_HOME: str(Path(os.environ[KAFKA_HOME]).absolute())} if os.environ.get(KAFKA_HOME) else {}
    return {**_FEWER_ARENAS, **os.environ, **home}


class LocalBackend:
    """Starts labs on this machine.

    Args:
        name: "embedded" for processes, "containers" for containers of its Docker engine.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self, request: StartRequest, progress: Progress) -> LocalHandle:
        """Start a lab and return when it is ready; raises as :class:`lab.backend.Backend` says."""
        began = time.monotonic()
        directory, lock = create(request.name)
        try:
            programs = {name: str(path) for name, path in request.programs.items()}
            data = str(request.data.absolute()) if request.data else None
            plain = {"programs": programs, "data": data, "began": began, "backend": self.name}
            directory.write_spec({**asdict(request), **plain})
            handle = OwnHandle(directory, lock, self.name)
        except BaseException:
            directory.remove()
            raise
        finally:
            os.close(lock)
        try:
            handle.wait_ready(progress)
        except BaseException:  # also Ctrl-C
            handle.close()
            raise
        return handle.let_go() if request.detach else handle


def attach(directory: LabDirectory) -> LocalHandle:
    """Return a handle to a running lab."""
    return LocalHandle(directory)


def stop(directory: LabDirectory) -> None:
    """End a running lab, whoever started it, and wait until nothing of it is left.

    Raises:
        LabError: it did not end.
    """
    patience = _END_DEADLINE[directory.read_spec()["backend"]]
    with suppress(LabError):
        control.call(directory.control_socket, {"command": "stop"})
    if not directory.wait_until_left(patience):
        raise LabError(f"lab {directory.name!r} did not end within {patience:g} s; see {directory.logs}")
