"""Copies what the containers of a lab print into its folder of logs, where ``cloudcart logs`` finds it.

A process of its own, forked by the supervisor before any container is started. Not here: the logs in error messages,
which the engine is asked for.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cloudcart.lab.containers.container import NAME
from cloudcart.lab.containers.docker import LAB
from cloudcart.lab.directory import LabDirectory

_NEVER: Final = 7 * 24 * 3600  # seconds; a silent lab is no reason to give up

if TYPE_CHECKING:
    from docker.client import DockerClient


class LogCopier:
    """The process that copies the logs of one lab.

    Args:
        directory: the lab's.
    """

    def __init__(self, directory: LabDirectory) -> None:
        self._directory = directory
        self._pid = 0
        self._began = 0

    def start(self) -> None:
        """Start it; it ends with this process."""
        from cloudcart.lab.service_process import fork_to

        self._began = int(time.time())
        self._pid = fork_to(self._copy, self._directory.log("supervisor"))

    def stop(self) -> None:
        """End it. Idempotent."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0

    def _copy(self) -> None:
        """Copy, from a thread for each container, until killed."""
        import docker

        client = docker.from_env(timeout=_NEVER)
        wanted = {"type": "container", "event": "start", "label": f"{LAB}={self._directory.path}"}
        for event in client.events(since=self._began, decode=True, filters=wanted):
            threading.Thread(target=self._follow, args=(client, event), daemon=True).start()

    def _follow(self, client: DockerClient, event: dict[str, object]) -> None:
        container = client.containers.get(str(event["id"]))
        began = int(str(event["time"]))
        with self._directory.log(container.labels[NAME]).open("ab", buffering=0) as log:
            for chunk in container.logs(stream=True, follow=True, since=began):
                log.write(chunk)
