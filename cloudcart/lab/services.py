"""The service processes of a lab: started, noticed when they die, started again after a pause.

Owned by the supervisor, which calls :meth:`Services.reap` whenever one may have ended. Not here: what runs in such a
process (``lab.service_process``), and where it runs: forked from this process, or in a container (``lab.containers``).
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cloudcart.exceptions import UsageError
from cloudcart.lab.service_process import Running, ServiceProcess, fork

if TYPE_CHECKING:
    from cloudcart.settings import Settings

_FIRST_PAUSE: Final = 0.05  # seconds before a service that died is started again; doubled each time ..
_LONGEST_PAUSE: Final = 5.0
_LIVED: Final = 10.0  # .. unless it had lived so long
_NEVER: Final = float("inf")
_PATIENCE: Final = 3.0  # seconds that a service asked to end may take


@dataclass
class _Release:
    settings: Settings
    commit: str
    until: float


@dataclass
class _Service:
    spec: ServiceProcess
    process: Running | None = None
    started: float = 0.0
    due: float = 0.0  # when it is to be started, while it has no process
    killed_at: float = _NEVER  # when a process that was asked to end has had its time
    pause: float = _FIRST_PAUSE
    holds: dict[str, float] = field(default_factory=dict)  # until when faults keep it paused or down, by the fault's id
    releases: dict[str, _Release] = field(default_factory=dict)  # what faults have deployed, the newest last

    @property
    def released(self) -> ServiceProcess:
        """What is to run now: the newest release that a fault has deployed, else the good one."""
        newest = next(reversed(self.releases.values()), None)
        return self.spec if newest is None else self.spec._replace(settings=newest.settings, commit=newest.commit)


class Services:
    """All service processes of one lab.

    Args:
        specs: what they are started with. A replica is known by its own name (``products/1``; ``products/0`` is the
            first), a service by its name alone, which means all its replicas.
        launch: starts one.
    """

    def __init__(self, specs: Iterable[ServiceProcess], launch: Callable[[ServiceProcess], Running] = fork) -> None:
        self._launch = launch
        self._services = {spec.name: _Service(spec) for spec in specs}

    def add(self, spec: ServiceProcess) -> None:
        """Have one more, to be started by the next :meth:`start`."""
        self._services[spec.name] = _Service(spec)

    def start(self) -> bool:
        """Do what is due: start services, let paused ones go on, kill those that should have ended.

        Returns whether any was started.
        """
        now = time.monotonic()
        started = False
        for service in self._services.values():
            for holder in [holder for holder, until in service.holds.items() if until <= now]:
                self._release(service, holder)
            for holder in [holder for holder, release in service.releases.items() if release.until <= now]:
                self._withdraw(service, holder)
            if service.process is None and service.due <= now and not service.holds:
                service.process, service.started, service.killed_at = self._launch(service.released), now, _NEVER
                started = True
            elif service.process is not None and service.killed_at <= now:
                service.process.signal(signal.SIGKILL)
                service.killed_at = _NEVER
        return started

    @property
    def pids(self) -> dict[str, int]:
        """The pid of each service that has a process."""
        return {name: s.process.pid for name, s in self._services.items() if s.process and s.process.pid}

    @property
    def ports(self) -> dict[str, int]:
        """The port of each service."""
        return {name: service.spec.port for name, service in self._services.items()}

    @property
    def restarts(self) -> dict[str, int]:
        """How often each service was started again."""
        return {name: service.spec.restarts for name, service in self._services.items()}

    @property
    def next_due(self) -> float | None:
        """The moment (monotonic) at which :meth:`start` has something to do, if any."""
        moments = [s.killed_at for s in self._services.values() if s.process is not None]
        moments += [s.due for s in self._services.values() if s.process is None and not s.holds]
        moments += [until for s in self._services.values() for until in s.holds.values()]
        moments += [release.until for s in self._services.values() for release in s.releases.values()]
        return min((moment for moment in moments if moment != _NEVER), default=None)

    def reap(self) -> dict[str, int]:
        """Take note of services that ended, plan their restart, and return them with their exit codes."""
        ended: dict[str, int] = {}
        for name, service in self._services.items():
            code = service.process.exit_code() if service.process is not None else None
            if code is not None:
                ended[name] = code
                self._plan_restart(service)
        return ended

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a service, if it has a process now.

        Raises:
            UsageError: there is no such service.
        """
        for service in self._named(name):
            _signal(service, number)

    def hold(self, name: str, holder: str, *, pause: bool, seconds: float) -> None:
        """Keep a service for so many seconds from being started, or paused if it runs and ``pause`` says so.

        Asking again moves the end, zero seconds end it now. A service goes on when the last of its holders has let go;
        each deadline is kept here, so nothing stays paused when whoever asked is gone.

        Raises:
            UsageError: there is no such service.
        """
        for service in self._named(name):
            if seconds <= 0:
                self._release(service, holder)
                continue
            if pause and holder not in service.holds:
                _signal(service, signal.SIGSTOP)
            service.holds[holder] = time.monotonic() + seconds

    def restart(self, name: str, overrides: Mapping[str, object]) -> None:
        """End a service gently and start it again at once, with ``overrides`` of its settings.

        Raises:
            UsageError: no such service or setting; nothing happened.
        """
        chosen = self._named(name)
        for service, settings in [(each, each.spec.settings.with_overrides(overrides)) for each in chosen]:
            service.spec = service.spec._replace(settings=settings, deployments=service.spec.deployments + 1)
            service.releases.clear()
            service.holds.clear()
            self._start_anew(service)

    def deploy(self, name: str, holder: str, overrides: Mapping[str, object], *, release: str, seconds: float) -> None:
        """End a service gently and start it as another release, for so many seconds; then the one before comes back.

        Asking again only moves the end, zero seconds end it now. The deadline is kept here, so a bad release is rolled
        back when whoever deployed it is gone.

        Args:
            name: the service.
            holder: who asks; each has one release.
            overrides: settings in which the release differs.
            release: the commit that it names as its own.
            seconds: for how long.

        Raises:
            UsageError: no such service or setting; nothing happened.
        """
        chosen = self._named(name)
        for service, settings in [(each, each.released.settings.with_overrides(overrides)) for each in chosen]:
            if seconds <= 0:
                self._withdraw(service, holder)
            elif holder in service.releases:
                service.releases[holder].until = time.monotonic() + seconds
            else:
                service.releases[holder] = _Release(settings, release, time.monotonic() + seconds)
                self._deploy(service)

    def kill(self) -> None:
        """End all at once and for good."""
        running = [service.process for service in self._services.values() if service.process is not None]
        for process in running:
            process.kill()
        for process in running:
            process.wait()
        for service in self._services.values():
            service.process = None

    def _release(self, service: _Service, holder: str) -> None:
        if service.holds.pop(holder, None) is not None and not service.holds:
            _signal(service, signal.SIGCONT)

    def _withdraw(self, service: _Service, holder: str) -> None:
        """Take a release back; what runs changes only if it was the newest."""
        before = service.released
        if service.releases.pop(holder, None) is not None and service.released != before:
            self._deploy(service)

    def _deploy(self, service: _Service) -> None:
        service.spec = service.spec._replace(deployments=service.spec.deployments + 1)
        self._start_anew(service)

    def _start_anew(self, service: _Service) -> None:
        service.pause = 0.0
        if service.process is not None:
            service.killed_at = time.monotonic() + _PATIENCE
        _signal(service, signal.SIGCONT)
        _signal(service, signal.SIGTERM)

    def __contains__(self, name: str) -> bool:
        """Whether there is a service, or a replica of one, of that name."""
        return any(name in _names(service.spec) for service in self._services.values())

    def _named(self, name: str) -> list[_Service]:
        found = [service for service in self._services.values() if name in _names(service.spec)]
        if not found:
            raise UsageError(f"there is no service {name!r}; choose one of {', '.join(self._services)}")
        return found

    @staticmethod
    def _plan_restart(service: _Service) -> None:
        now = time.monotonic()
        if now - service.started > _LIVED:
            service.pause = min(service.pause, _FIRST_PAUSE)
        service.process, service.due, service.killed_at = None, now + service.pause, _NEVER
        service.pause = min(max(_FIRST_PAUSE, 2 * service.pause), _LONGEST_PAUSE)
        service.spec = service.spec._replace(restarts=service.spec.restarts + 1)
        sys.stderr.write(f"{service.spec.name} ended; starting it again in {service.due - now:.2f} s\n")
        sys.stderr.flush()


def _signal(service: _Service, number: signal.Signals) -> None:
    if service.process is not None:
        service.process.signal(number)


def _names(spec: ServiceProcess) -> tuple[str, str]:
    """Return the names under which commands mean this process: its service's, and its own with the number."""
    return spec.service, f"{spec.service}/{spec.replica}"
