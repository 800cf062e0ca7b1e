"""The stores of one lab together: watched, paused, killed, started again; and which ones an embedded lab has.

Owned by the supervisor. They are started first, since they get ready while libraries are imported. Not here: each store
by itself (``lab.postgres``, ``lab.valkey``, ``lab.broker``, ``lab.kafka``); those in containers (``lab.containers``).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from cloudcart.exceptions import LabError, UsageError
from cloudcart.lab.broker import Broker
from cloudcart.lab.directory import LabDirectory
from cloudcart.lab.kafka import Kafka, Listeners, kafka_home
from cloudcart.lab.postgres import Postgres
from cloudcart.lab.valkey import Valkey
from cloudcart.settings import WITH_KAFKA


class Store(Protocol):
    """One store, as a process of this machine or in a container."""

    @property
    def durable(self) -> bool:
        """Whether it comes back after a SIGKILL, at the same address and with its data."""

    @property
    def pid(self) -> int:
        """Its process; 0 while it has none."""

    def start(self) -> object:
        """Start it, with the data it had if any, and return at once.

        Raises:
            BackendError: this machine lacks what it needs.
        """

    def wait_ready(self) -> None:
        """Wait until it can be used.

        Raises:
            LabError: it ended, or was not ready in time; the message has the end of its log.
        """

    def exit_code(self) -> int | None:
        """Return how it ended; None while it has not."""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""

    def kill(self) -> None:
        """End it at once and wait until it has ended; what it has on disk stays."""

    def stop(self) -> None:
        """End it for good. Idempotent."""

    def last_words(self) -> str:
        """Return the end of its log, to be put at the end of an error's message."""


class Stores:
    """The stores of one lab.

    Args:
        by_name: each of them, in the order in which they are started.
    """

    def __init__(self, by_name: Mapping[str, Store]) -> None:
        self._by_name = by_name
        self.began = 0.0
        self._holds: dict[tuple[str, str], float] = {}  # until when (monotonic) which holder keeps which store
        self._down: set[str] = set()  # stores that a fault killed: their death does not end the lab

    def start(self) -> None:
        """Start all and return at once.

        Raises:
            BackendError: one is not installed, or cannot run here; those before it run.
        """
        self.began = time.time()
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
        return {name: store.pid for name, store in self._by_name.items() if store.pid}

    def check(self) -> None:
        """Do nothing while all live.

        Raises:
            LabError: one died, and no fault did it.
        """
        for name, store in self._by_name.items():
            if name not in self._down and (code := store.exit_code()) is not None:
                raise LabError(f"{name} died (exit code {code}), so the lab ended{store.last_words()}")

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a store and all its processes. SIGKILL is taken for a fault, which the lab survives.

        Raises:
            UsageError: there is no such store.
        """
        store = self._find(name)
        if number is signal.SIGKILL:
            self._down.add(name)
            store.kill()
        else:
            store.signal(number)

    def hold(self, name: str, holder: str, *, pause: bool, seconds: float) -> None:
        """Keep a store paused, or killed unless ``pause`` says so, for so many seconds.

        Asking again moves the end, zero seconds end it now. It goes on, or is started again, when the last of its
        holders has let go, or is gone: each deadline is kept here.

        Raises:
            UsageError: there is no such store, or it would not come back with its data.
        """
        store = self._find(name)
        if not pause and not store.durable:
            raise UsageError(f"{name} cannot be killed and started again: it keeps its data in memory")
        if seconds <= 0:
            self._let_go(name, holder)
            return
        if (name, holder) not in self._holds:
            self.signal(name, signal.SIGSTOP if pause else signal.SIGKILL)
        self._holds[name, holder] = time.monotonic() + seconds

    def release(self) -> None:
        """Let go on what has been held for long enough."""
        now = time.monotonic()
        for name, holder in [place for place, until in self._holds.items() if until <= now]:
            self._let_go(name, holder)

    @property
    def next_due(self) -> float | None:
        """The moment (monotonic) at which :meth:`release` has something to do, if any."""
        return min(self._holds.values(), default=None)

    def restart(self, name: str) -> None:
        """Start a store again at the same address, with the data it had on disk; waits until it is ready.

        Raises:
            UsageError: no such store, or one whose messages and address would be lost.
            LabError: it did not start.
        """
        store = self._find(name)
        if not store.durable:
            raise UsageError(f"the embedded {name} cannot be started again: it keeps its messages in memory")
        self.signal(name, signal.SIGKILL)
        store.start()
        store.wait_ready()
        self._down.discard(name)

    def stop(self) -> None:
        """End all at once; what is not to be kept is lost."""
        for store in reversed(list(self._by_name.values())):
            store.stop()

    def _let_go(self, name: str, holder: str) -> None:
        if self._holds.pop((name, holder), None) is None or name in {held for held, _ in self._holds}:
            return
        if name in self._down:
            self._by_name[name].start()
            self._down.discard(name)
        else:
            self.signal(name, signal.SIGCONT)

    def _find(self, name: str) -> Store:
        if name not in self._by_name:
            raise UsageError(f"there is no store {name!r}; choose one of {', '.join(self._by_name)}")
        return self._by_name[name]


class EmbeddedStores(Stores):
    """PostgreSQL, Valkey and a broker below one lab's directory.

    The broker is real Apache Kafka where ``CLOUDCART_KAFKA_HOME`` says where it is, else the mock.

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
        self.broker = _broker(directory)
        super().__init__({"postgres": self.postgres, "valkey": self.valkey, "broker": self.broker})

    @property
    def addresses(self) -> dict[str, str]:
        """The Unix sockets of the stores that have one, by the name that targets of faults use."""
        return {"postgres": str(self.postgres.socket), "redis": str(self.valkey.socket)}

    @property
    def listeners(self) -> Listeners | None:
        """The broker's, if it can tell a proxy's port to its clients; none: the mock tells its own."""
        return self.broker.listeners if isinstance(self.broker, Kafka) else None

    @property
    def password(self) -> str | None:
        """What services log in to PostgreSQL with; none: the Unix socket trusts its owner."""
        return None

    def milestones(self) -> Iterator[tuple[str, float, float]]:
        """Yield, once all are ready, which store took from when to when (unix seconds), as far as files tell."""
        yield "postgres", self.began, self.postgres.ready_since
        yield "valkey", self.began, self.valkey.ready_since


def _broker(directory: LabDirectory) -> Broker | Kafka:
    folder, log = directory.path / "broker", directory.log("broker")
    home = kafka_home()
    return Kafka(folder, home, log=log, routed=WITH_KAFKA) if home else Broker(folder, log=log)
