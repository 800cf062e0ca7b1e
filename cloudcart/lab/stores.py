"""The embedded stores of one lab together, started first, since they get ready while libraries are imported.

Owned by the supervisor. Not here: each store by itself (``lab.postgres``, ``lab.valkey``, ``lab.broker``).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cloudcart.exceptions import LabError, UsageError
from cloudcart.lab.broker import Broker
from cloudcart.lab.directory import LabDirectory
from cloudcart.lab.postgres import Postgres
from cloudcart.lab.process import log_tail
from cloudcart.lab.valkey import Valkey


class EmbeddedStores:
    """PostgreSQL, Valkey and the mock broker below one lab's directory.

    Args:
        directory: the lab's.
        postgres: the installation of PostgreSQL; the wheel's if not given.
        valkey: the Valkey server; the wheel's if not given.
        kept: a directory in which PostgreSQL's data outlive the lab; they are worth nothing if not given.
    """

    def __init__(
        self,
        directory: LabDirectory,
        *,
        postgres: Path | None = None,
        valkey: Path | None = None,
        kept: Path | None = None,
    ) -> None:
        path = directory.path
        self.postgres = Postgres(path / "postgres", log=directory.log("postgres"), installation=postgres, kept=kept)
        self.valkey = Valkey(path / "valkey", log=directory.log("valkey"), server=valkey)
        self.broker = Broker(path / "broker", log=directory.log("broker"))
        self._by_name: dict[str, Postgres | Valkey | Broker] = {
            "postgres": self.postgres,
            "valkey": self.valkey,
            "broker": self.broker,
        }
        self._began = 0.0
        self._holds: dict[tuple[str, str], float] = {}  # until when (monotonic) which holder keeps which store paused
        self._excused: set[str] = set()  # stores that a fault killed: their death does not end the lab

    def start(self) -> None:
        """Start all, the slowest first, and return at once.

        Raises:
            BackendError: one is not installed, or cannot run here; those before it run.
        """
        self._began = time.time()
        for store in self._by_name.values():
            store.start()

    def wait_ready(self) -> None:
        """Wait until all accept connections.

        Raises:
            LabError: one did not start; the message has the end of its log.
        """
        for store in self._by_name.values():
            store.wait_ready()

    @property
    def names(self) -> tuple[str, ...]:
        """The stores, as commands name them."""
        return tuple(self._by_name)

    @property
    def pids(self) -> dict[str, int]:
        """The pid of each store that runs."""
        running = {name: store.process for name, store in self._by_name.items()}
        return {name: process.pid for name, process in running.items() if process and process.poll() is None}

    @property
    def socket_paths(self) -> dict[str, Path]:
        """The Unix sockets of the stores that have one, by the name that targets of faults use."""
        return {"postgres": self.postgres.socket, "redis": self.valkey.socket}

    def milestones(self) -> Iterator[tuple[str, float, float]]:
        """Yield, once all are ready, which store took from when to when (unix seconds), as far as files tell."""
        yield "postgres", self._began, self.postgres.ready_since
        yield "valkey", self._began, self.valkey.ready_since

    def check(self) -> None:
        """Do nothing while all live.

        Raises:
            LabError: one died, and no fault did it.
        """
        for name, store in self._by_name.items():
            if name not in self._excused and store.process is not None and store.process.poll() is not None:
                how = store.process.returncode
                raise LabError(f"{name} died (exit code {how}), so the lab ended{log_tail(store.log)}")

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a store and all its processes. SIGKILL is taken for a fault, which the lab survives.

        Raises:
            UsageError: there is no such store.
        """
        store = self._find(name)
        if number is signal.SIGKILL:
            self._excused.add(name)
            number = store.death_signal  # PostgreSQL's comes to the same, but does not leave its shared memory behind
        pid = self.pids.get(name)
        for member in [] if pid is None else _family(pid):
            with suppress(ProcessLookupError):
                os.kill(member, number)
                if number is not signal.SIGSTOP:
                    os.kill(member, signal.SIGCONT)  # a paused one could not obey

    def hold(self, name: str, holder: str, *, seconds: float) -> None:
        """Keep a store paused for so many seconds; asking again moves the end, zero seconds end it now.

        It goes on when the last of its holders has let go, or is gone: each deadline is kept here.

        Raises:
            UsageError: there is no such store.
        """
        if seconds > 0:
            if (name, holder) not in self._holds:
                self.signal(name, signal.SIGSTOP)
            self._holds[name, holder] = time.monotonic() + seconds
        elif self._holds.pop((name, holder), None) is not None and name not in {held for held, _ in self._holds}:
            self.signal(name, signal.SIGCONT)

    def release(self) -> None:
        """Let go on what has been paused for long enough."""
        now = time.monotonic()
        for name, holder in [place for place, until in self._holds.items() if until <= now]:
            self.hold(name, holder, seconds=0.0)

    @property
    def next_due(self) -> float | None:
        """The moment (monotonic) at which :meth:`release` has something to do, if any."""
        return min(self._holds.values(), default=None)

    def restart(self, name: str) -> None:
        """Start a store again at the same address, with the data it had on disk; waits until it is ready.

        Raises:
            UsageError: no such store, or the broker, whose messages and address would be lost.
            LabError: it did not start.
        """
        store = self._find(name)
        if isinstance(store, Broker):
            raise UsageError("the embedded broker cannot be started again: it keeps its messages in memory")
        self._excused.add(name)
        store.stop()
        store.start()
        store.wait_ready()
        self._excused.discard(name)

    def stop(self) -> None:
        """End all at once; what is not to be kept is lost."""
        for store in reversed(self._by_name.values()):
            store.stop()

    def _find(self, name: str) -> Postgres | Valkey | Broker:
        if name not in self._by_name:
            raise UsageError(f"there is no store {name!r}; choose one of {', '.join(self._by_name)}")
        return self._by_name[name]


def _family(pid: int) -> list[int]:
    """Return a process and all that come from it: PostgreSQL's sessions leave its process group."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return []
