"""Where a lab lives on disk: one directory per lab, owned by this user, locked for as long as the lab lives.

Made by whoever starts a lab, read by whoever attaches to it, removed by its supervisor, or by the next start when the
supervisor was killed. Not here: what runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cloudcart.exceptions import LabError, UsageError

STATE_DIR: Final = "CLOUDCART_STATE_DIR"

_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,31}")
_LONGEST_SOCKET: Final = "links/notifications/.s.PGSQL.5432"
_POLL: Final = 0.005  # seconds
_SOCKET_LIMIT: Final = 103  # bytes; 107 on Linux (unix(7)), 103 on macOS


class LabDirectory:
    """The directory of the lab ``name``; the paths in it, and whether somebody lives there.

    Raises:
        UsageError: the name has characters that a path should not have.
    """

    def __init__(self, name: str, state: Path) -> None:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot name a lab; use up to 32 letters, digits, '-', '_' and '.'")
        self.name = name
        self.path = state / name
        self.logs = self.path / "logs"
        self.control_socket = self.path / "control.sock"
        self._lock = self.path / "lock"
        self._record = self.path / "lab.json"
        self._spec = self.path / "spec.json"
        self._last_words = self.path / "ended"

    @classmethod
    def at(cls, path: Path) -> LabDirectory:
        """Return the lab whose directory is ``path``."""
        return cls(path.name, path.parent)

    @property
    def occupied(self) -> bool:
        """Whether a lab lives there, as its lock says; a lock ends with the process that holds it."""
        return not self.wait_until_left(0.0)

    def wait_until_left(self, timeout: float) -> bool:
        """Wait until no lab lives there, ``timeout`` seconds at most; return whether that is so."""
        try:
            lock = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        deadline = time.monotonic() + timeout
        try:
            while not _is_free(lock):
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_POLL)
        finally:
            os.close(lock)
        return True

    @property
    def room(self) -> int:
        """Bytes by which its path could be longer; below zero, its longest socket does not fit."""
        return _SOCKET_LIMIT - len(os.fsencode(self.path / _LONGEST_SOCKET))

    def log(self, process: str) -> Path:
        """Return the log file of one process of the lab: ``products-1.log`` is that of ``products/1``."""
        return self.logs / f"{process.replace('/', '-')}.log"

    def write_spec(self, spec: Mapping[str, object]) -> None:
        """Write what the lab is to be; for its supervisor."""
        _write(self._spec, spec)

    def read_spec(self) -> dict[str, Any]:
        """Return what the lab is to be."""
        return _read(self._spec)

    def write_record(self, record: Mapping[str, object]) -> None:
        """Write what the lab is (addresses, log-ins, secrets); whole or not at all, for this user only."""
        _write(self._record, record)

    def read_record(self) -> dict[str, Any]:
        """Return what the lab is.

        Raises:
            LabError: it has not got that far, or is gone.
        """
        try:
            return _read(self._record)
        except FileNotFoundError:
            raise LabError(f"lab {self.name!r} is not ready; 'cloudcart status --name {self.name}' shows it") from None

    def remove(self, last_words: str | None = None) -> None:
        """Remove it with all it holds; no error when it is gone already.

        Args:
            last_words: why the lab had to end; kept with the logs until its starter, or the next start, removes it.
        """
        self._record.unlink(missing_ok=True)  # first: from now on nobody takes it for a lab
        if last_words is None:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        self._last_words.write_text(last_words)
        for path in self.path.iterdir():
            if path.is_dir() and path != self.logs:
                shutil.rmtree(path, ignore_errors=True)

    @property
    def last_words(self) -> str:
        """Why the lab that lived here had to end; empty if it did not have to."""
        return self._last_words.read_text() if self._last_words.exists() else ""


def state_directory() -> Path:
    """Return the directory that holds this user's labs, made when missing.

    It is ``$CLOUDCART_STATE_DIR``, or ``cloudcart-UID`` in the directory for temporary files.

    Raises:
        LabError: it cannot be made, belongs to somebody else, or others may write to it.
    """
    given = os.environ.get(STATE_DIR)
    state = Path(given).absolute() if given else Path(tempfile.gettempdir()) / f"cloudcart-{os.geteuid()}"
    try:
        state.mkdir(mode=directory_mode(), parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"{state} cannot be made ({error.strerror}); set {STATE_DIR} to a directory of yours") from None
    found = state.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise LabError(f"{state} must be a directory that only you can write to; set {STATE_DIR} to another")
    return state


def create(name: str) -> tuple[LabDirectory, int]:
    """Make the directory of a new lab, after removing those of dead labs; return it with the descriptor of its lock.

    Whoever holds the descriptor, or has inherited it, keeps the lab occupied.

    Raises:
        LabError: a lab of this name is running, or the path is too long for a Unix socket.
    """
    state = state_directory()
    directory = LabDirectory(name, state)
    if directory.room < 0:
        raise LabError(
            f"{directory.path} is {-directory.room} bytes too long for a Unix socket; set {STATE_DIR} to a shorter one"
        )
    with _alone(state):
        for other in _directories(state):
            if not other.occupied:
                other.remove()
        try:
            directory.path.mkdir(mode=directory_mode())
        except FileExistsError:
            raise LabError(
                f"lab {name!r} is running already; end it with 'cloudcart down --name {name}', "
                "or give the new one another name with --name"
            ) from None
        directory.logs.mkdir(mode=0o700)
        lock = os.open(directory.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return directory, lock


def running() -> list[LabDirectory]:
    """Return the directories of this user's running labs, by name."""
    return [directory for directory in _directories(state_directory()) if directory.occupied]


def find(name: str) -> LabDirectory:
    """Return the directory of a running lab.

    Raises:
        LabError: no lab of this name is running; the message says which are.
    """
    directory = LabDirectory(name, state_directory())
    if not directory.occupied:
        if said := directory.last_words:
            raise LabError(f"lab {name!r} had to end: {said}\n    logs: {directory.logs}, until another lab is started")
        names = ", ".join(other.name for other in running())
        others = f"running: {names}" if names else f"start it with 'cloudcart up --name {name}'"
        raise LabError(f"no lab {name!r} is running; {others}")
    return directory


def directory_mode() -> int:
    """Return the mode of a directory that PostgreSQL's own may be in."""
    return 0o711 if os.geteuid() == 0 else 0o700  # root's PostgreSQL runs as nobody, who must pass through


def _directories(state: Path) -> Iterator[LabDirectory]:
    for path in sorted(state.iterdir()):
        if path.is_dir() and _NAME.fullmatch(path.name):
            yield LabDirectory(path.name, state)


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Let one process at a time create and remove directories of labs."""
    with (state / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_free(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not see each other
    except OSError:
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True


def _write(path: Path, document: Mapping[str, object]) -> None:
    unfinished = path.with_suffix(".new")
    descriptor = os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:  # noqa: PTH123 -- the mode must be right from the first byte on
        json.dump(document, file, indent=2)
    unfinished.replace(path)


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document
