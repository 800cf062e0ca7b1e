"""One service as a forked process: what happens between the fork and the server that listens.

Called by the supervisor, which has imported everything, so that a service starts in a moment and shares the memory of
the libraries with its siblings. Not here: when to start one again (``lab.services``).
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, Protocol

from cloudcart.lab.ports import LOOPBACK
from cloudcart.lab.process import die_with_parent

if TYPE_CHECKING:
    from cloudcart.settings import ServiceName, Settings

RESTARTS: Final = "CLOUDCART_RESTARTS"
"""Environment variable of a service: how often it has been started again."""
DEPLOYMENTS: Final = "CLOUDCART_DEPLOYMENTS"
"""Environment variable of a service: how often it has been started on purpose, with whatever settings."""

COMMIT: Final = "CLOUDCART_COMMIT"
"""Environment variable of a service: what its release was made of."""


def process_name(service: str, replica: int) -> str:
    """Return what a process of a service is called: ``products`` the first, ``products/1`` the next."""
    return f"{service}/{replica}" if replica else service


class ServiceProcess(NamedTuple):
    """What a service process is started with. ``commit`` says what its release was made of, if that is known."""

    service: ServiceName
    settings: Settings
    port: int
    log: Path
    restarts: int = 0
    deployments: int = 1
    commit: str = ""
    replica: int = 0

    @property
    def name(self) -> str:
        """What the process is called; see :func:`process_name`."""
        return process_name(self.service, self.replica)

    @property
    def environment(self) -> dict[str, str]:
        """What the process says about itself in its metrics."""
        counts = {RESTARTS: str(self.restarts), DEPLOYMENTS: str(self.deployments)}
        return counts | ({COMMIT: self.commit} if self.commit else {})


def import_server() -> None:
    """Import what every service process needs beside the services, so that it need not after the fork."""
    import asyncio

    import uvicorn.lifespan.on
    import uvloop

    from cloudcart.services import serve, server
    from cloudcart.telemetry import logs

    del asyncio, uvicorn, uvloop, serve, server, logs


class Running(Protocol):
    """A service that runs, as a process of this machine or in a container."""

    @property
    def pid(self) -> int:
        """Its process; 0 while it is still being started."""

    def exit_code(self) -> int | None:
        """Return how it ended; None while it has not."""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; no error when it has ended."""

    def kill(self) -> None:
        """End it at once; :meth:`wait` waits until it has ended."""

    def wait(self) -> None:
        """Wait until nothing of it is left, after :meth:`kill`."""


class ForkedProcess:
    """A service in a process forked from this one.

    Args:
        pid: the child's.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._exit_code: int | None = None

    def exit_code(self) -> int | None:
        """Return how it ended; None while it has not."""
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._exit_code = os.waitstatus_to_exitcode(status) if pid else None
        return self._exit_code

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; no error when it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)

    def wait(self) -> None:
        """Wait until it has ended."""
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def fork(spec: ServiceProcess) -> ForkedProcess:
    """Start the service in a forked process. Must be called from a process with one thread."""
    return ForkedProcess(fork_to(lambda: _serve(spec), spec.log, environment=spec.environment))


def fork_to(
    serve: Callable[[], None], log: Path, *, environment: Mapping[str, str] | None = None, keep: Collection[int] = ()
) -> int:
    """Run ``serve`` in a forked process that ends with this one, and return its pid.

    Args:
        serve: what the process does; its return ends the process.
        log: gets what it prints.
        environment: variables that it has beyond those of this process.
        keep: descriptors that it needs; all others are closed.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become(serve, _Leaving(parent, log, environment or {}, frozenset(keep)))
    return pid


class _Leaving(NamedTuple):
    """What a forked process does differently from its parent."""

    parent: int
    log: Path
    environment: Mapping[str, str]
    keep: frozenset[int]


def _become(serve: Callable[[], None], leaving: _Leaving) -> NoReturn:
    """Be the service until the end of the process; never returns into the supervisor's frames."""
    status = 1
    try:
        _leave_parent(leaving)
        serve()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _leave_parent(leaving: _Leaving) -> None:
    """Undo what was inherited: signal handlers, descriptors, a collector that is switched off."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    die_with_parent(signal.SIGKILL)
    if os.getppid() != leaving.parent:
        os._exit(1)
    log = os.open(leaving.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the lifeline is the supervisor's
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 -- for all of its life
    # The supervisor's frames stay alive below this one, so none of its objects closes such a number a second time.
    for descriptor in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        if descriptor > 2 and descriptor not in leaving.keep:
            with suppress(OSError):  # the one that listed the others is closed already
                os.close(descriptor)
    os.environ.update(leaving.environment)
    gc.enable()
    gc.set_threshold(10_000)  # requests make garbage but hardly a cycle: the default looks for some every 50 requests


def _serve(spec: ServiceProcess) -> None:
    from cloudcart.services.serve import listen, serve

    serve(spec.service, spec.settings, listen(LOOPBACK, spec.port))
