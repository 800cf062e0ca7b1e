"""The process that is a running lab: ``python -m cloudcart.lab.supervisor DIRECTORY``.

It starts the shop's processes, then watches: services that die are started again, questions on the control socket are
answered, and all ends when whoever started the lab is gone. A plain loop with one thread, no asyncio, because it forks.
Started by ``lab.local``.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

from cloudcart.exceptions import BackendError, CloudCartError, LabError, UsageError
from cloudcart.lab.control import ControlServer
from cloudcart.lab.directory import LabDirectory
from cloudcart.lab.ports import LOOPBACK
from cloudcart.lab.progress import Reporter
from cloudcart.lab.shop import EmbeddedShop, Shop

_LIFELINE: Final = 0  # descriptor of standard input; it ends when whoever started the lab is gone
_READY_POLL: Final = 0.01  # seconds between two questions whether the services are ready
_READY_DEADLINE: Final = 60.0
_END_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SERVICE_SIGNALS: Final = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}


class _Ended(Exception):  # noqa: N818 -- nothing is wrong: somebody wants the lab to end
    """The lab is to end now; the text says why."""


class Supervisor:
    """One lab, from the start of its first process to the end of its last.

    Args:
        directory: the lab's; this process holds its lock.
        spec: what the lab is to be.
        report: tells whoever started it.
    """

    def __init__(self, directory: LabDirectory, spec: dict[str, Any], report: Reporter) -> None:
        self._directory = directory
        self._spec = spec
        self._report = report
        self._shop = _shop_of(spec["backend"])(directory, spec, report)
        self._selector = selectors.DefaultSelector()
        self._children, self._wakeup = socket.socketpair()
        self._ready = False
        self._stopping = False
        self._noted: tuple[dict[str, int], dict[str, str]] = {}, {}  # processes and addresses that the record names

    def run(self) -> None:
        """Start everything, watch until the end is asked for, end everything.

        Raises:
            CloudCartError: the lab could not start, or a store died.
        """
        with ExitStack() as opened:
            opened.callback(self._shop.stop)
            opened.callback(_ignore_signals)  # the end is not to be interrupted
            try:
                self._listen()
                opened.enter_context(ControlServer(self._directory.control_socket, self._selector, self._command))
                for step in self._shop.steps():
                    step()
                    self._turn(0.0)
                self._wait_ready()
                self._watch()
            except _Ended as reason:
                sys.stderr.write(f"the lab ends: {reason}\n")

    def _listen(self) -> None:
        for number in _END_SIGNALS:
            signal.signal(number, _end_on_signal)
        for end in (self._children, self._wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler is needed for the wake-up
        self._selector.register(self._children, selectors.EVENT_READ, self._child_ended)
        self._selector.register(_LIFELINE, selectors.EVENT_READ, self._lifeline_ended)

    def _turn(self, longest: float | None) -> None:
        """Wait for something to happen, ``longest`` seconds at most, and deal with it."""
        for key, _ in self._selector.select(longest):
            key.data()
        if self._stopping:
            raise _Ended("it was asked to")

    def _wait_ready(self) -> None:
        from cloudcart.lab.readiness import ready_services

        services = {name: (LOOPBACK, port) for name, port in self._shop.services.ports.items()}
        deadline = time.monotonic() + _READY_DEADLINE
        with self._report.phase("services ready"):
            while len(ready := ready_services(services, 1.0)) < len(services):
                if time.monotonic() > deadline:
                    missing = min(services.keys() - ready)
                    raise self._shop.start_failure(missing, f"was not ready after {_READY_DEADLINE:g} s")
                self._turn(_READY_POLL)
                self._look_for_ended()
        self._ready = True
        self._shop.start_traffic()
        with suppress(OSError, LabError):
            self._shop.start_prometheus()
        self._write_record()
        self._report.ready()
        if self._spec["detach"]:
            self._selector.unregister(_LIFELINE)
            self._report.close()

    def _watch(self) -> None:
        services = self._shop.services
        while True:
            due = self._shop.next_due
            self._turn(None if due is None else max(0.0, due - time.monotonic()))
            self._look_for_ended()
            self._shop.stores.release()
            services.start()
            if (
                self._pids(),
                self._shop.urls,
            ) != self._noted:  # a container has its process only later
                self._write_record()

    def _child_ended(self) -> None:
        with suppress(BlockingIOError):
            while self._children.recv(4096):
                continue
        self._look_for_ended()

    def _look_for_ended(self) -> None:
        ended = self._shop.reap()
        if ended and not self._ready:
            name, status = next(iter(ended.items()))
            raise self._shop.start_failure(name, f"ended with exit code {status} while starting")

    def _lifeline_ended(self) -> None:
        if not os.read(_LIFELINE, 1):
            raise _Ended("whoever started it is gone")

    def _command(self, question: dict[str, Any]) -> dict[str, Any]:
        match question:
            case {"command": "status"}:
                services = self._shop.services
                return {
                    "pids": self._pids(),
                    "restarts": services.restarts,
                    "state": "ready" if self._ready else "starting",
                }
            case {"command": "stop"}:
                self._stopping = True
                return {}
            case {"command": "restart", "service": str(name)}:
                self._shop.restart(name, question.get("overrides", {}))
                self._write_record()
                return {}
            case {"command": "hold", "service": str(name), "holder": str(holder), "pause": bool(pause)}:
                self._shop.hold(name, holder, pause=pause, seconds=float(question["seconds"]))
                return {}
            case {"command": "deploy", "service": str(name), "holder": str(holder), "release": str(release)}:
                settings, seconds = question.get("settings", {}), float(question["seconds"])
                self._shop.deploy(name, holder, settings, release=release, seconds=seconds)
                return {}
            case {"command": str(command), "service": str(name)} if command in _SERVICE_SIGNALS:
                pid = self._shop.pids.get(name.removesuffix("/0"))
                self._shop.signal(name, _SERVICE_SIGNALS[command])
                return {"pid": pid}
        raise UsageError(
            f"a lab does not know the command {question}; "
            "it knows status, stop, restart, kill, pause, resume, hold, deploy"
        )

    def _pids(self) -> dict[str, int]:
        return {"supervisor": os.getpid(), **self._shop.pids}

    def _write_record(self) -> None:
        """Write what an attaching process needs to know."""
        from cloudcart import __version__
        from cloudcart.lab.wiring import dump_settings

        settings, self._noted = self._shop.settings, (self._pids(), self._shop.urls)
        passwords = {"admin": settings.auth.admin_password, "demo": settings.auth.demo_password}
        self._directory.write_record(
            {
                "name": self._directory.name,
                "state": "ready",
                "seconds": round(self._report.phases[-1].end, 3),
                "version": __version__,
                "backend": self._spec["backend"],
                "urls": self._noted[1],
                "pids": self._noted[0],
                "logins": {
                    who: {"username": who, "password": password.get_secret_value() if password else ""}
                    for who, password in passwords.items()
                },
                "phases": self._report.phases,
                "settings": dump_settings(settings),
                "database": self._shop.stores.postgres.url(),
                "data_older_than": self._shop.data_older_than,
            }
        )


def _shop_of(backend: str) -> type[Shop]:
    if backend == "containers":
        from cloudcart.lab.containers.shop import ContainerShop

        return ContainerShop
    return EmbeddedShop


def _end_on_signal(number: int, _frame: FrameType | None) -> None:
    raise _Ended(signal.Signals(number).name)


def _ignore_signals() -> None:
    for number in _END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)


def main() -> None:
    """Run the lab whose directory is the first argument; the second is the descriptor of its lock. Does not return."""
    gc.disable()  # nothing that is imported here is garbage; children switch it on again
    os.umask(0o077)
    os.chdir("/")
    directory = LabDirectory.at(Path(sys.argv[1]))
    os.set_inheritable(int(sys.argv[2]), False)  # the lock ends with this process, not with its children
    spec = directory.read_spec()
    if spec["detach"] and os.fork():
        os._exit(0)  # the lab is then nobody's child, so that nobody has to wait for its end
    report = Reporter(os.dup(1), spec["began"])
    os.dup2(2, 1)  # what libraries print belongs into the log
    report.add("supervisor process", 0.0, report.elapsed)
    last_words = _run(directory, spec, report)
    directory.remove(last_words)
    os._exit(0 if last_words is None else 1)  # taking the interpreter apart would only take time


def _run(directory: LabDirectory, spec: dict[str, Any], report: Reporter) -> str | None:
    """Run the lab to its end and return why it had to end, if it had to."""
    try:
        Supervisor(directory, spec, report).run()
    except CloudCartError as error:
        problem = error
    except ModuleNotFoundError as error:
        traceback.print_exc()
        problem = BackendError(f"{error.name} is not installed; run: pip install 'cloudcart[lab]'")
    except Exception as error:
        traceback.print_exc()
        problem = LabError(f"the supervisor failed, which is a bug of cloudcart: {error!r}")
    else:
        return None
    sys.stderr.write(f"the lab ends: {problem}\n")
    report.failed(problem)
    return str(problem)


if __name__ == "__main__":
    main()
