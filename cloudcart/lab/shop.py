"""The processes of a lab and the order in which they start: stores, libraries, schema, services.

:class:`Shop` is that order, :class:`EmbeddedShop` has processes of this machine (``lab.containers.shop`` has
containers). Owned by the supervisor, which calls the steps one after the other and looks in between whether the lab is
still wanted. Heavy imports are inside the steps, because the stores get ready while they happen. Not here: watching
(``lab.supervisor``).
"""

from __future__ import annotations

import gc
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudcart.exceptions import LabError, UsageError
from cloudcart.lab.directory import LabDirectory
from cloudcart.lab.kept_data import KeptData
from cloudcart.lab.process import log_tail
from cloudcart.lab.progress import Reporter
from cloudcart.lab.services import Services
from cloudcart.lab.stores import EmbeddedStores

if TYPE_CHECKING:
    import socket

    from cloudcart.lab.containers.prometheus import PrometheusContainer
    from cloudcart.lab.containers.stores import ContainerStores
    from cloudcart.lab.links import Links
    from cloudcart.lab.prometheus import Prometheus
    from cloudcart.lab.service_process import Running, ServiceProcess
    from cloudcart.settings import Settings


class Shop(ABC):
    """Everything that one lab runs, except its supervisor.

    Args:
        directory: the lab's.
        spec: what it is to be, as ``lab.local`` wrote it.
        report: told about the phases.
    """

    settings: Settings
    stores: EmbeddedStores | ContainerStores

    def __init__(self, directory: LabDirectory, spec: Mapping[str, Any], report: Reporter) -> None:
        self._directory = directory
        self._spec = spec
        self._report = report
        self._kept = KeptData(Path(spec["data"])) if spec.get("data") else None
        self.data_older_than = time.time() if self._kept and self._kept.used_before else None
        self._ports: dict[str, socket.socket] = {}
        self._prometheus: Prometheus | PrometheusContainer | None = None
        self.services = Services(())
        self._links: Links | None = None
        self._traffic_port: socket.socket | None = None

    def steps(self) -> tuple[Callable[[], None], ...]:
        """Return what is to be done, in order.

        Each raises LabError or UsageError when the lab cannot start; then :meth:`stop` ends what runs.
        """
        return self._start_stores, self._settle, self._import, self._connect, self._start_services

    @abstractmethod
    def _hold_port(self, port: int) -> socket.socket:
        """Take a port for a service, 0 for any free one; raises LabError when it is taken."""

    @abstractmethod
    def _launch(self, spec: ServiceProcess) -> Running:
        """Start a service."""

    @abstractmethod
    def start_prometheus(self) -> None:
        """Start Prometheus where there is one; a comfort, so nothing is said when it does not start."""

    @property
    def urls(self) -> dict[str, str]:
        """The base URL of each process of a service, and of Prometheus if it runs."""
        urls = {name: f"http://127.0.0.1:{socket.getsockname()[1]}" for name, socket in self._ports.items()}
        return urls | ({"prometheus": self._prometheus.url} if self._prometheus else {})

    @property
    def pids(self) -> dict[str, int]:
        """Every process that runs, by name."""
        others = {"prometheus": self._prometheus.pid} if self._prometheus and self._prometheus.pid else {}
        return {**self.services.pids, **self.stores.pids, **others, **(self._links.pids if self._links else {})}

    def reap(self) -> dict[str, int]:
        """Take note of processes that ended and return the services among them with their exit codes.

        Raises:
            LabError: a store died, and no fault did it, or the fault proxy died as soon as it was started.
        """
        self.stores.check()
        if self._links is not None:
            self._links.reap()
        self._let_go_of_prometheus()
        return self.services.reap()

    def start_failure(self, name: str, what: str) -> LabError:
        """Return what to say when the service ``name`` keeps the lab from being ready; with the end of its log."""
        return LabError(f"the service {name} {what}{log_tail(self._directory.log(name))}")

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a service or a store.

        Raises:
            UsageError: there is neither of that name.
        """
        (self.stores if name in self.stores.names else self._services_with(name)).signal(name, number)

    def hold(self, name: str, holder: str, *, pause: bool, seconds: float) -> None:
        """Keep a service or a store paused, or down, for some time; see their own ``hold``."""
        if name in self.stores.names:
            self.stores.hold(name, holder, pause=pause, seconds=seconds)
        else:
            self._services_with(name).hold(name, holder, pause=pause, seconds=seconds)

    def deploy(self, name: str, holder: str, settings: Mapping[str, object], *, release: str, seconds: float) -> None:
        """Run another release of a service for some time; see :meth:`Services.deploy`."""
        self._services_with(name).deploy(name, holder, settings, release=release, seconds=seconds)

    @property
    def next_due(self) -> float | None:
        """The moment (monotonic) at which a service or a store needs something done, if any."""
        return min((due for due in (self.services.next_due, self.stores.next_due) if due is not None), default=None)

    def restart(self, name: str, overrides: Mapping[str, object]) -> None:
        """Start a service again with other settings, or a store as it was; raises as their own ``restart``."""
        if name in self.stores.names:
            self.stores.restart(name)
        else:
            self._services_with(name).restart(name, overrides)

    def start_traffic(self) -> None:
        """Let synthetic visitors come, if they are wanted: not before the shop is ready, so nobody waits for them."""
        if self._traffic_port is None:
            return
        from cloudcart.lab import wiring
        from cloudcart.lab.service_process import ServiceProcess

        self._ports["traffic"] = self._traffic_port
        port, log = self._traffic_port.getsockname()[1], self._directory.log("traffic")
        self.services.add(ServiceProcess("traffic", wiring.for_traffic(self.settings), port, log))
        self.services.start()

    def stop(self) -> None:
        """End every process, services first."""
        self.services.kill()
        if self._links is not None:
            self._links.stop()
        if self._prometheus is not None:
            self._prometheus.stop()
        self.stores.stop()

    def _let_go_of_prometheus(self) -> None:
        """Have none if it has ended or could not be started: a comfort, without which a lab goes on."""
        if self._prometheus is None:
            return
        try:
            ended = self._prometheus.exit_code() is not None
        except LabError:
            ended = True
        if ended:
            self._prometheus.stop()
            self._prometheus = None

    def _start_stores(self) -> None:
        with self._report.phase("stores started"):
            self.stores.start()

    def _settle(self) -> None:
        """Settle what may be wrong with the request: settings and ports."""
        with self._report.phase("settings and ports"):
            from cloudcart.lab import wiring
            from cloudcart.lab.service_process import process_name
            from cloudcart.settings import SERVICES, TRAFFIC_PORT

            overrides = self._spec["overrides"]
            self.settings = wiring.lab_settings(self._kept.settle(overrides) if self._kept else overrides)
            if self._kept:
                self._kept.note(self.settings)
            default = self._spec["ports"] == "default"
            for service, port in SERVICES.items():
                for replica in range(self.settings.replicas_of(service)):  # only the first has a port that users know
                    name = process_name(service, replica)
                    self._ports[name] = self._hold_port(0 if replica or not default else port)
            if self._spec.get("traffic"):
                self._traffic_port = self._hold_port(TRAFFIC_PORT if default else 0)

    def _import(self) -> None:
        with self._report.phase("imports"):
            from cloudcart.lab.service_process import import_server
            from cloudcart.services import import_services

            import_server()
            import_services()

    def _connect(self) -> None:
        from cloudcart.lab import wiring
        from cloudcart.lab.service_process import ServiceProcess, process_name
        from cloudcart.services import prepare_database
        from cloudcart.settings import SERVICES

        with self._report.phase("waiting for stores"):
            self.stores.wait_ready()
        for name, start, end in self.stores.milestones():
            self._report.add(name, self._report.since_start(start), self._report.since_start(end))
        with self._report.phase("schema"):
            administrator = self.stores.postgres.url(driver="+psycopg")
            databases = {**prepare_database(administrator, self.stores.password), "chaos": administrator}
        broker = self.stores.broker
        addresses = wiring.Addresses(self.urls, self.stores.valkey.url, broker.address, broker.durable)
        self.settings = wiring.at(self.settings, addresses)
        if self.settings.chaos.links:
            with self._report.phase("links"):
                self._route_links(databases)
        links = self._links
        specs = [
            ServiceProcess(
                service,
                wiring.for_service(
                    self.settings,
                    service,
                    databases,
                    self._directory.control_socket,
                    links.settings_of(service) if links else {},
                    replica=replica,
                ),
                self._ports[process_name(service, replica)].getsockname()[1],
                self._directory.log(process_name(service, replica)),
                replica=replica,
            )
            for service in SERVICES
            for replica in range(self.settings.replicas_of(service))
        ]
        self.services = Services(specs, self._launch)

    def _route_links(self, databases: Mapping[str, str]) -> None:
        from cloudcart.lab.links import Links

        directory, log = self._directory.path / "links", self._directory.log("links")
        own = {service: url for service, url in databases.items() if service != "chaos"}  # that must always work
        self._links = Links(directory, self.settings, own, self.stores.addresses, self.stores.listeners, log)

    def _start_services(self) -> None:
        with self._report.phase("services started"):
            gc.freeze()  # what was imported is never garbage: a collection in a child would copy its memory
            if self._links is not None:
                self._links.start()
            self.services.start()

    def _services_with(self, name: str) -> Services:
        if name not in self.services:
            raise UsageError(
                f"there is no {name!r}; choose one of {', '.join([*self.services.ports, *self.stores.names])}"
            )
        return self.services


class EmbeddedShop(Shop):
    """The shop as processes of this machine: services forked from this one, which has imported everything once."""

    stores: EmbeddedStores

    def __init__(self, directory: LabDirectory, spec: Mapping[str, Any], report: Reporter) -> None:
        super().__init__(directory, spec, report)
        paths = {store: Path(path) for store, path in spec.get("programs", {}).items()}
        self.stores = EmbeddedStores(directory, **paths, kept=self._kept.postgres if self._kept else None)

    def start_prometheus(self) -> None:
        """Start Prometheus where there is one; a comfort, so nothing is said when it does not start."""
        from cloudcart.lab.prometheus import Prometheus, is_installed

        if not self._spec.get("prometheus", True) or not is_installed():
            return
        log = self._directory.log("prometheus")
        prometheus = Prometheus(self._directory.path / "prometheus", self.services.ports, log=log)
        prometheus.start()
        self._prometheus = prometheus

    def _hold_port(self, port: int) -> socket.socket:
        from cloudcart.lab import ports

        return ports.hold(port)

    def _launch(self, spec: ServiceProcess) -> Running:
        from cloudcart.lab.service_process import fork

        return fork(spec)
