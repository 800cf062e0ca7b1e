"""One container of a lab: started in the background, watched by its process, paused, killed, removed.

It shares this machine's network, may write to nothing but what it is given, and has no privileges. Made by
``lab.containers.stores`` and ``lab.containers.shop``; testcontainers talks to the engine.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloudcart.exceptions import LabError
from cloudcart.lab.containers.docker import LAB, USER
from cloudcart.lab.directory import LabDirectory

if TYPE_CHECKING:
    from docker.models.containers import Container

NAME: Final = "cloudcart.name"
"""Label of each container: what it is in its lab, as "orders" or "postgres"."""
_POLL: Final = 0.05  # seconds between two looks at a condition
_START_TIMEOUT: Final = 60.0  # seconds that the engine may take to make and start one
_TAIL: Final = 15  # lines of a log that an error has
_LOGS: Final = {"max-size": "50m", "max-file": "1"}


@dataclass(frozen=True)
class Image:
    """What a container is made from, and what it gets.

    ``files`` are mounted, path here to path there, read-only; ``scratch`` are folders in memory that it may write to.
    """

    name: str
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    scratch: Sequence[str] = ()
    user: str = ""
    read_only: bool = False
    capabilities: Sequence[str] = ()


class LabContainer:
    """One container.

    Args:
        name: what it is in the lab.
        image: what it is made from.
        directory: the lab's.
        ready: whether it can be used, asked once it runs.
    """

    durable = True

    def __init__(
        self, name: str, image: Image, directory: LabDirectory, ready: Callable[[], bool] = lambda: True
    ) -> None:
        self.name = name
        self.log = directory.log(name)
        self._image = image
        self._directory = directory
        self._ready = ready
        self._made: Container | None = None
        self._pid = 0
        self._starting: Future[None] | None = None
        self._unwanted = False

    def start(self) -> None:
        """Start it, with what it has written before if it ran before, and return at once."""
        self._pid = 0
        self._starting = _in_background(self._start)

    def wait_ready(self, timeout: float = _START_TIMEOUT) -> None:
        """Wait until it can be used.

        Raises:
            LabError: it ended, or was not ready in time; the message has the end of its log.
        """
        deadline = time.monotonic() + timeout
        self._container(timeout)
        while not self._ready():
            if (code := self.exit_code()) is not None:
                raise LabError(f"the container of {self.name} ended with exit code {code}{self.last_words()}")
            if time.monotonic() > deadline:
                raise LabError(f"the container of {self.name} was not ready after {timeout:g} s{self.last_words()}")
            time.sleep(_POLL)

    @property
    def pid(self) -> int:
        """Its first process, as this machine numbers it; 0 while it has none."""
        return self._pid if self._is_alive else 0

    def exit_code(self) -> int | None:
        """Return how it ended; None while it has not.

        Raises:
            LabError: it could not be started.
        """
        if self._starting is None or not self._starting.done():
            return None
        container = self._container()
        if self._is_alive:
            return None
        container.reload()
        return None if container.attrs["State"]["Running"] else int(container.attrs["State"]["ExitCode"])

    def signal(self, number: signal.Signals) -> None:
        """Pause it (SIGSTOP), let it go on (SIGCONT), or send it a signal; no error when it has ended.

        Raises:
            LabError: the engine did not do it.
        """
        import docker.errors

        container = self._container()
        try:
            if number is signal.SIGSTOP:
                container.pause()
            elif number is signal.SIGCONT:
                container.unpause()
            else:
                container.kill(int(number))
        except docker.errors.APIError as error:
            if not _is_as_after(number, container):
                said = error.explanation or error
                raise LabError(f"the container of {self.name} did not take {number.name}: {said}") from None

    def kill(self) -> None:
        """End it at once; what it has written stays until :meth:`stop`."""
        self.signal(signal.SIGCONT)  # a paused one cannot be killed
        self.signal(signal.SIGKILL)

    def wait(self) -> None:
        """Wait until it has ended."""
        self._container().wait()

    def abandon(self) -> None:
        """Start it no more, not even what is under way but has not reached the engine; :meth:`stop` removes it."""
        self._unwanted = True

    def wait_started(self, timeout: float) -> None:
        """Wait until no start is under way, whether that went well or not."""
        if self._starting is not None:
            wait([self._starting], timeout)

    def stop(self) -> None:
        """Remove it with all it has written. Idempotent."""
        import docker.errors

        if self._made is not None:
            with suppress(docker.errors.APIError):
                self._made.remove(force=True, v=True)

    def last_words(self) -> str:
        """Return the end of its log, to be put at the end of an error's message."""
        if self._made is None:
            return ""
        lines = self._made.logs(tail=_TAIL).decode(errors="replace").strip().splitlines()
        return "".join(f"\n    {line}" for line in (f"; the end of the log of {self.name} says:", *lines))[5:]

    def _start(self) -> None:
        if self._unwanted:
            raise LabError("the lab ends")
        if self._made is None:
            self._made = _create(self.name, self._image, self._directory)
        else:
            self._made.start()
        self._made.reload()
        self._pid = int(self._made.attrs["State"]["Pid"])

    @property
    def _is_alive(self) -> bool:
        return self._pid != 0 and Path(f"/proc/{self._pid}").exists()

    def _container(self, timeout: float = _START_TIMEOUT) -> Container:
        """Return the engine's container, once it is started."""
        assert self._starting is not None, "start() comes first"
        try:
            self._starting.result(timeout)
        except TimeoutError:
            raise LabError(f"the engine did not start the container of {self.name} within {timeout:g} s") from None
        except Exception as error:  # the engine may refuse in any way
            said = getattr(error, "explanation", None) or error
            raise LabError(f"the container of {self.name} ({self._image.name}) did not start: {said}") from None
        assert self._made is not None
        return self._made


def _is_as_after(number: signal.Signals, container: Container) -> bool:
    """Return whether a container is as a signal would leave it: paused already, not paused, or ended."""
    import docker.errors

    try:
        container.reload()
    except docker.errors.NotFound:
        return True
    state = container.attrs["State"]
    wanted = {signal.SIGSTOP: state["Paused"], signal.SIGCONT: not state["Paused"]}
    return bool(wanted.get(number)) or not state["Running"]


def _create(name: str, image: Image, directory: LabDirectory) -> Container:
    """Create and start a container by testcontainers."""
    from docker.types import LogConfig
    from testcontainers.core.container import DockerContainer

    made = DockerContainer(
        image.name,
        env=dict(image.environment),
        name=f"cloudcart-{directory.name}-{name.replace('/', '-')}-{secrets.token_hex(3)}",
        volumes=[(str(here), there, "ro") for here, there in image.files.items()],
    )
    made.with_kwargs(
        labels={LAB: str(directory.path), USER: str(os.geteuid()), NAME: name},
        network_mode="host",
        read_only=image.read_only,
        cap_drop=["ALL"],
        cap_add=list(image.capabilities),
        security_opt=["no-new-privileges"],
        healthcheck={"test": ["NONE"]},  # the lab asks by itself
        log_config=LogConfig(type="json-file", config=_LOGS),
        **({"user": image.user} if image.user else {}),
    )
    for folder in image.scratch:
        made.with_tmpfs_mount(folder)
    if image.command:
        made.with_command(list(image.command))
    return made.start().get_wrapped_container()


def _in_background(work: Callable[[], None]) -> Future[None]:
    """Run ``work`` in a thread that does not keep the process from ending."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done
