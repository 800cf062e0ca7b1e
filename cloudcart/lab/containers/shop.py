"""The shop in containers: what is different from an embedded one, which is how its processes are started and removed.

Owned by the supervisor. Links go through the same proxy as on the embedded backend, a process forked from this one,
which the containers reach since they share this machine's network. Not here: the order of a start (``lab.shop``).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudcart.exceptions import LabError, UsageError
from cloudcart.lab.containers.container import Image, LabContainer
from cloudcart.lab.containers.docker import Docker
from cloudcart.lab.containers.logs import LogCopier
from cloudcart.lab.containers.prometheus import PrometheusContainer
from cloudcart.lab.containers.stores import ContainerStores
from cloudcart.lab.directory import LabDirectory
from cloudcart.lab.ports import LOOPBACK, hold
from cloudcart.lab.progress import Reporter
from cloudcart.lab.service_process import ServiceProcess
from cloudcart.lab.shop import Shop
from cloudcart.lab.wiring import dump_settings

if TYPE_CHECKING:
    import socket

_IMAGE_USER: Final = 10001  # as infra/images/cloudcart/Dockerfile makes it
_LOOK: Final = 0.1  # seconds between two looks whether containers have ended: they are nobody's children here
_LAST_STARTS: Final = 5.0  # seconds that the end of a lab waits for starts that are under way
_SETTINGS: Final = "/run/cloudcart/settings.json"
_SCRATCH: Final = "/tmp"  # noqa: S108 -- the container's own
_CONTROL: Final = "/run/cloudcart/control.sock"


class ServiceContainer(LabContainer):
    """A service of the shop, from the project's image: not root, on a read-only disk. A new one for each start.

    Args:
        spec: what it is started with.
        image: the image's name.
        directory: the lab's.
    """

    def __init__(self, spec: ServiceProcess, image: str, directory: LabDirectory) -> None:
        files = {_write_settings(spec, directory): _SETTINGS}
        if spec.service == "chaos":
            _give_away(directory.control_socket)
            files[directory.control_socket] = _CONTROL
        environment = {
            "CLOUDCART_SETTINGS_FILE": _SETTINGS,
            "CLOUDCART_LISTEN": f"{LOOPBACK}:{spec.port}",
            **spec.environment,
        }
        user = "" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
        what = Image(image, [spec.service], environment, files, scratch=[_SCRATCH], user=user, read_only=True)
        super().__init__(spec.name, what, directory)


class ContainerShop(Shop):
    """Everything that one lab in containers runs, except its supervisor."""

    stores: ContainerStores

    def __init__(self, directory: LabDirectory, spec: Mapping[str, Any], report: Reporter) -> None:
        if spec.get("data"):
            raise UsageError("a lab in containers keeps no data beyond its life; use the embedded backend for --data")
        super().__init__(directory, spec, report)
        self._docker: Docker | None = None
        self._containers: dict[str, ServiceContainer] = {}  # the newest of each process of a service
        self._logs = LogCopier(directory)

    def steps(self) -> tuple[Callable[[], None], ...]:
        """Return what is to be done, in order; raises as :meth:`Shop.steps`, BackendError without a usable engine."""
        return (
            self._settle,
            self._look_for_images,
            self._start_stores,
            self._import,
            self._connect,
            self._start_services,
        )

    @property
    def next_due(self) -> float | None:
        """The moment (monotonic) at which something is to be done: soon, always."""
        soon = time.monotonic() + _LOOK
        return min(soon, super().next_due or soon)

    def start_failure(self, name: str, what: str) -> LabError:
        """Return what to say when the service ``name`` keeps the lab from being ready; with the end of its log."""
        container = self._containers.get(name)
        return LabError(f"the container of {name} {what}{container.last_words() if container else ''}")

    def start_prometheus(self) -> None:
        """Start Prometheus, unless it is not wanted; nothing waits for it."""
        if self._spec.get("prometheus", True):
            image = self.settings.containers.prometheus
            self._prometheus = PrometheusContainer(image, self._directory, self.services.ports)
            self._prometheus.start()

    def stop(self) -> None:
        """Remove every container and end every process."""
        if self._links is not None:
            self._links.stop()
        if self._docker is not None:
            containers = self._all_containers()
            for container in containers:
                container.abandon()
            self._docker.remove(self._directory)
            for container in containers:  # one that was just being started has come too late to be removed
                container.wait_started(_LAST_STARTS)
            self._docker.remove(self._directory)
        self._logs.stop()

    def _all_containers(self) -> list[LabContainer]:
        """Return every container that was started, or is being started now."""
        stores = self.stores.containers if hasattr(self, "stores") else ()
        prometheus = [self._prometheus] if isinstance(self._prometheus, PrometheusContainer) else []
        return [*self._containers.values(), *stores, *prometheus]

    def _look_for_images(self) -> None:
        with self._report.phase("engine and images"):
            self._docker = Docker()
            self._docker.reap()
            images = self.settings.containers.model_dump()
            if not self._spec.get("prometheus", True):
                del images["prometheus"]
            self._docker.require(images)
            self._logs.start()
            self.stores = ContainerStores(self._directory, self.settings)

    def _hold_port(self, port: int) -> socket.socket:
        return hold(port, for_others=True)

    def _launch(self, spec: ServiceProcess) -> ServiceContainer:
        before = self._containers.pop(spec.name, None)
        if before is not None:
            before.stop()
        container = ServiceContainer(spec, self.settings.containers.shop, self._directory)
        self._containers[spec.name] = container
        container.start()
        return container


def _write_settings(spec: ServiceProcess, directory: LabDirectory) -> Path:
    """Write what a service is started with, for its user's eyes only."""
    folder = directory.path / "services"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{spec.name.replace('/', '-')}.json"
    supervisor = {"chaos.supervisor": _CONTROL} if spec.service == "chaos" else {}
    path.write_text(json.dumps(dump_settings(spec.settings.with_overrides(supervisor))))
    path.chmod(0o600)
    _give_away(path)
    return path


def _give_away(path: Path) -> None:
    """Let the image's user have a file of root's; anybody else's containers run as themselves."""
    if os.geteuid() == 0:
        os.chown(path, _IMAGE_USER, _IMAGE_USER)
