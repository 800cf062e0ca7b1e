"""One child process of the lab: started with a log file, tied to its parent's life, ended within a deadline.

Used by the embedded stores and by the supervisor. Not for services: those are forked (``lab.service_process``), not
executed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from cloudcart.exceptions import LabError

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_POLL: Final = 0.005  # seconds between two looks at a condition

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(signal_number: signal.Signals) -> None:
    """Ask the kernel to send ``signal_number`` to this process when the thread that started it ends (Linux only).

    Called in the child, after any change of user id, which would clear it.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    death_signal: signal.Signals = signal.SIGKILL,
    user: int | None = None,
    environment: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, so that Ctrl-C in a terminal does not reach it, and return it.

    Args:
        command: the program and its arguments.
        log: file that gets what it writes (appended).
        death_signal: what it gets when this process dies, even by SIGKILL.
        user: run as this user and group id (only root may).
        environment: variables; this process's own if not given.
        stdout: where standard output goes; the log if not given.
    """
    parent = os.getpid()

    def in_child() -> None:
        die_with_parent(death_signal)
        if os.getppid() != parent:  # the parent died before the kernel was asked
            os.kill(os.getpid(), signal.SIGKILL)

    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            cwd="/",
            env=None if environment is None else dict(environment),
            start_new_session=True,
            preexec_fn=in_child,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )


def end(process: subprocess.Popen[bytes], how: signal.Signals, *, patience: float = 3.0) -> None:
    """End ``process`` and the others of its session's first group, such as what a shell script waits for. Idempotent.

    Args:
        process: made by :func:`spawn`.
        how: the signal that asks them to end.
        patience: seconds after which those that have not ended are killed.
    """
    deadline = time.monotonic() + patience
    _signal_group(process.pid, signal.SIGCONT)  # a paused one could not obey
    _signal_group(process.pid, how)
    while _signal_group(process.pid, 0) and time.monotonic() < deadline:
        process.poll()  # a dead leader counts as a member until somebody has asked for its exit code
        time.sleep(_POLL)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


class ChildProcess(ABC):
    """A process of this machine that belongs to a lab."""

    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process; 0 while it has none."""
        return self.process.pid if self.process is not None and self.process.poll() is None else 0

    def exit_code(self) -> int | None:
        """Return how it ended; None while it has not."""
        return None if self.process is None else self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        for member in _family(self.pid) if self.pid else []:
            with suppress(ProcessLookupError):
                os.kill(member, number)

    def kill(self) -> None:
        """End it at once and wait until it has ended; what it has on disk stays."""
        self.signal(signal.SIGCONT)  # a paused one could not obey
        self.stop()

    @abstractmethod
    def start(self) -> object:
        """Start it and return at once."""

    @abstractmethod
    def stop(self) -> None:
        """End it. Idempotent."""


class StoreProcess(ChildProcess):
    """What stores have in common that are processes of this machine; Postgres, Valkey and Broker are made from it."""

    durable = True

    @abstractmethod
    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until it can be used; raises LabError when it cannot in time."""

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def last_words(self) -> str:
        """Return the end of its log, to be put at the end of an error's message."""
        return log_tail(self.log)


def _family(pid: int) -> list[int]:
    """Return a process and all that come from it: PostgreSQL's sessions leave its process group."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return []


def _signal_group(leader: int, number: int) -> bool:
    """Send a signal (0: none) to a process group and return whether it still has members."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return False
    return True


def wait_until(
    condition: Callable[[], bool], *, what: str, process: subprocess.Popen[bytes], log: Path, timeout: float
) -> None:
    """Wait until ``condition`` holds.

    Raises:
        LabError: ``process`` ended, or ``timeout`` seconds passed; the message has the end of its log.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if process.poll() is not None:
            raise LabError(f"{what} ended with exit code {process.returncode} while starting{log_tail(log)}")
        if time.monotonic() > deadline:
            raise LabError(f"{what} was not ready after {timeout:g} s{log_tail(log)}")
        time.sleep(_POLL)


def log_tail(log: Path, lines: int = 15) -> str:
    """Return the last ``lines`` of a log, introduced and indented, to be put at the end of an error's message."""
    try:
        text = log.read_text(errors="replace").strip().splitlines()[-lines:]
    except OSError:
        return ""
    return "".join(f"\n    {line}" for line in (f"; the end of {log.name} says:", *text))[5:] if text else ""
