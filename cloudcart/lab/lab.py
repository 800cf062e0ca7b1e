"""A running shop in somebody's hands: look at it, break it, reset it, end it. Every backend's labs look the same here.

Made by :func:`start` and :func:`attach`; used by the pytest plugin, the command line, experiments and people. Light to
import: what a method needs, it imports itself.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from cloudcart.exceptions import LabError, UnsupportedError
from cloudcart.lab.backend import Handle
from cloudcart.lab.calls import post, post_to_all
from cloudcart.lab.injected import InjectedFault
from cloudcart.lab.ports import LOOPBACK
from cloudcart.lab.progress import Phase
from cloudcart.lab.readiness import ready_services
from cloudcart.lab.status import LabStatus, ServiceStatus, memory_of
from cloudcart.lab.tokens import service_token

if TYPE_CHECKING:
    from cloudcart.chaos.client import ControlPlane
    from cloudcart.faults import Fault
    from cloudcart.lab.event_tap import EventTap
    from cloudcart.lab.invariants import InvariantResult
    from cloudcart.settings import Settings
    from cloudcart.signals import MetricNames, Scrape, Scraper, Signals, Window

_READY_TIMEOUT: Final = 10.0
_POLL: Final = 0.01
_KEPT_SCRAPES: Final = 200
_PEOPLES_DATA: Final = """
SELECT (SELECT count(*) FROM orders.orders), (SELECT count(*) FROM users.users WHERE username <> ALL(%s))
"""
_LONGEST_QUIET: Final = 90.0  # seconds; longer than a check of the invariants waits


class Login(NamedTuple):
    """Somebody who exists in every lab."""

    username: str
    password: str


class PreparedUser(NamedTuple):
    """A shopper who is logged in already: hashing a password takes 50 ms, which a load should not pay."""

    user_id: int
    username: str
    token: str


class Lab:
    """A running shop; a context manager that ends it, if this process started it.

    Args:
        name: the lab's.
        backend: name of the backend that runs it.
        handle: the backend's.
    """

    def __init__(self, name: str, backend: str, handle: Handle) -> None:
        self.name = name
        self.backend = backend
        self._handle = handle
        self._made = handle.record()
        self._tokens: dict[str, str] = {}
        self._scrapes: deque[Scrape] = deque(maxlen=_KEPT_SCRAPES)

    @property
    def directory(self) -> Path:
        """Where the lab keeps its files; logs are in ``logs`` below it."""
        return self._handle.directory

    @property
    def urls(self) -> dict[str, str]:
        """The base URL of each process of a service (``products``, ``products/1``), and of Prometheus if it runs."""
        return dict(self._made["urls"])

    @cached_property
    def service_urls(self) -> dict[str, str]:
        """The base URL of each process of a service, replicas included."""
        from cloudcart.settings import SERVICES

        return {name: url for name, url in self.urls.items() if name.partition("/")[0] in SERVICES}

    @property
    def pids(self) -> dict[str, int]:
        """The process of each service and store, and the supervisor's, as it is now."""
        return dict(self._handle.record()["pids"])

    @property
    def logins(self) -> dict[str, Login]:
        """Who can log in: ``admin`` and ``demo``."""
        return {who: Login(**login) for who, login in self._made["logins"].items()}

    @property
    def seconds(self) -> float:
        """How long the start took, from the call to all services ready."""
        return float(self._made["seconds"])

    @property
    def phases(self) -> list[Phase]:
        """Where that time went."""
        return [Phase(*phase) for phase in self._made["phases"]]

    @cached_property
    def settings(self) -> Settings:
        """What the shop was started with, addresses and secrets included."""
        from cloudcart.settings import Settings

        return Settings(**self._made["settings"])

    @property
    def database_url(self) -> str:
        """The URL of the shop's PostgreSQL as its administrator, for those who look into the data."""
        return str(self._made["database"])

    @cached_property
    def chaos(self) -> ControlPlane:
        """The control plane of faults."""
        from cloudcart.chaos.client import ControlPlane

        return ControlPlane(self.urls["chaos"], self.service_token)

    def status(self) -> LabStatus:
        """Return what the lab's processes are doing right now.

        Raises:
            LabError: the lab is gone; the message says why, where this process can know.
        """
        now = self._handle.control("status")
        pids: Mapping[str, int] = now["pids"]
        memory = {name: memory_of(pid) for name, pid in pids.items()}
        ready = ready_services({**self._addresses, **self._traffic_address}, 0.5)
        services = {
            name: ServiceStatus(name in ready, pids.get(name, 0), memory.get(name, 0), restarts)
            for name, restarts in now["restarts"].items()
        }
        return LabStatus(services, memory)

    def unsteady(self) -> list[str]:
        """Return a sentence for each reason why a run should not begin now; none when all is well."""
        missing = self._addresses.keys() - ready_services(self._addresses, 1.0)
        reasons = [f"the service {service} was not ready before the run" for service in sorted(missing)]
        if self._traffic_address:
            reasons.append("synthetic visitors come to this lab; what is measured wants one without --traffic")
        return reasons

    def wait_ready(self, timeout: float = _READY_TIMEOUT) -> None:
        """Wait until every service is ready, as after one was killed.

        Raises:
            LabError: one was not within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while missing := self._addresses.keys() - ready_services(self._addresses, 1.0):
            if time.monotonic() > deadline:
                raise LabError(
                    f"not ready after {timeout:g} s: {', '.join(sorted(missing))}; see {self.directory}/logs"
                )
            time.sleep(_POLL)

    def reset(self) -> None:
        """Bring the shop back to how it started: faults healed, tables and caches as after the start, breakers closed.

        Takes less than 200 ms when every service is ready; waits for those that are not.

        Raises:
            LabError: a service did not do it.
        """
        with suppress(LabError):  # a fault may be why a service is not ready; is the chaos service itself not, wait
            self.heal()
        self.wait_ready()
        self.heal()
        firsts = {name: url for name, url in self.service_urls.items() if "/" not in name}  # replicas share their data
        with self._without_traffic():
            try:
                post_to_all(firsts, "/internal/reset", self._internal_headers())
            except LabError:  # one had just begun to be started again, as when a bad release is withdrawn
                self.wait_ready()
                post_to_all(firsts, "/internal/reset", self._internal_headers())
        self._scrapes.clear()

    def would_lose(self) -> str:
        """Return what people have made in this lab, which :meth:`reset` would take; empty when that is nothing.

        Raises:
            LabError: the database does not answer.
        """
        import psycopg

        own = [login.username for login in self.logins.values()]
        try:
            with psycopg.connect(self.database_url, autocommit=True) as connection:
                orders, accounts = connection.execute(_PEOPLES_DATA, (own,)).fetchone() or (0, 0)
        except psycopg.Error as error:
            raise LabError(f"the database of the lab does not answer: {error}") from None
        found = {"orders": orders, "accounts": accounts}
        return " and ".join(f"{count} {what}" for what, count in found.items() if count)

    def require(self, faults: Iterable[Fault]) -> None:
        """Do nothing if this lab can carry out all of ``faults``.

        Raises:
            UnsupportedError: it cannot, another one could; the message says why.
        """
        from cloudcart.lab.ability import why_not

        for fault in faults:
            if reason := why_not(fault, self.backend, self.settings):
                raise UnsupportedError(f"{fault.kind} cannot be carried out on backend {self.backend}: {reason}")

    def inject(self, kind: str, *, target: str, **parameters: object) -> InjectedFault:
        """Inject a fault by its document's words, as ``inject("error", target="products", status=503, ttl="10s")``.

        Returns when it acts on every service that it is aimed at; healed at the end of a ``with`` block.

        Raises:
            FaultError: it makes no sense; the message names the field.
            LabError: the control plane does not answer.
        """
        fault = self._fault({"kind": kind, "target": target, **parameters})
        injected = self._inject(fault, by_hand=True)
        self.mark()
        return injected

    def inject_fault(self, fault: Fault) -> InjectedFault:
        """Inject a fault that is a value already; raises as :meth:`inject`."""
        return self._inject(fault, by_hand=False)

    def heal(self, fault_id: str | None = None) -> None:
        """End one fault, or every fault; idempotent.

        Raises:
            LabError: the control plane does not answer.
        """
        if fault_id is None:
            self.chaos.heal_all()
        else:
            self.chaos.heal(fault_id)

    def prepare_users(self, count: int) -> list[PreparedUser]:
        """Make ``count`` new shoppers who are logged in already.

        Raises:
            LabError: the user service did not do it.
        """
        body = {"count": count, "prefix": f"load-{secrets.token_hex(4)}"}
        made = post(self.urls["users"], "/internal/prepare-users", body, self._internal_headers())
        return [PreparedUser(user["user_id"], user["username"], user["token"]) for user in made]

    def token(self, login: str = "admin") -> str:
        """Return a token of ``admin`` or ``demo``, for the header ``Authorization: Bearer TOKEN``.

        Raises:
            LabError: the user service did not let them in.
        """
        if login not in self._tokens:
            answer = post(self.urls["users"], "/auth/login", self.logins[login]._asdict(), {})
            self._tokens[login] = answer["token"]
        return self._tokens[login]

    def service_token(self) -> str:
        """Return a token that opens internal routes, good for a minute."""
        return service_token(self._made["settings"]["auth"]["service_secret"])

    def control(self, command: str, **arguments: object) -> dict[str, Any]:
        """Do something to a process: ``kill``, ``pause``, ``resume`` or ``restart`` with ``service="users"``.

        A service's name means all its replicas, ``products/0`` and ``products/1`` one of them.

        Raises:
            UsageError: this lab has no such command or process; nothing happened.
            LabError: the lab is gone.
        """
        return self._handle.control(command, **arguments)

    def tap_events(self, *, from_beginning: bool = False) -> EventTap:
        """Return a collector of everything that is published from now on, or was ever; close it."""
        from cloudcart.lab.event_tap import EventTap

        return EventTap(self.settings.stores.kafka, from_beginning=from_beginning)

    def check_invariants(self, tap: EventTap) -> list[InvariantResult]:
        """Wait until no event is under way and check what must be true of the data (:mod:`cloudcart.lab.invariants`).

        Args:
            tap: has collected what was published since the last reset.

        Raises:
            LabError: the database does not answer.
        """
        import psycopg

        from cloudcart.lab.invariants import check_invariants

        try:
            with self._without_traffic(), psycopg.connect(self._made["database"], autocommit=True) as connection:
                return check_invariants(
                    lambda statement: connection.execute(statement).fetchall(),
                    tap.events,
                    lambda: tap.incomplete,
                    data_older_than=self._made.get("data_older_than"),
                )
        except psycopg.Error as error:
            raise LabError(f"the invariants cannot be checked: {error}; 'cloudcart status' shows the lab") from None

    @property
    def metric_names(self) -> MetricNames:
        """Which metric tells what."""
        from cloudcart.signals import MetricNames

        return MetricNames()

    def mark(self) -> None:
        """Read every service's metrics now, so that :meth:`signals` knows this moment exactly."""
        self._scrapes.append(self._scraper.take())

    def signals(self, window: Window) -> Signals:
        """Return the golden signals over ``window``, from the readings nearest to its edges.

        Metrics are read when :meth:`inject` has injected a fault, when it is healed, at each :meth:`mark`, and now.
        """
        from cloudcart.signals import ScrapeSource, Signals

        self.mark()
        return Signals(ScrapeSource(list(self._scrapes), self.metric_names), window)

    def close(self) -> None:
        """End the lab, if this process started it and did not detach it; else only let go of it. Idempotent."""
        for name in ("_scraper", "chaos"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _scraper(self) -> Scraper:
        from cloudcart.signals import Scraper

        return Scraper(self.service_urls)

    @cached_property
    def _addresses(self) -> dict[str, tuple[str, int]]:
        return {service: _address(url) for service, url in self.service_urls.items()}

    @property
    def _traffic_address(self) -> dict[str, tuple[str, int]]:
        """The traffic generator's, which is never waited for."""
        return {name: _address(url) for name, url in self.urls.items() if name == "traffic"}

    @contextmanager
    def _without_traffic(self) -> Iterator[None]:
        """Hold synthetic visitors back, if there are any: what is to be looked at must not change meanwhile."""
        traffic = {"service": "traffic", "holder": "quiet", "pause": True}
        if self._traffic_address:
            self.control("hold", **traffic, seconds=_LONGEST_QUIET)
        try:
            yield
        finally:
            if self._traffic_address:
                self.control("hold", **traffic, seconds=0.0)

    def _fault(self, document: Mapping[str, object]) -> Fault:
        from cloudcart.faults import parse_fault

        return parse_fault(document)

    def _inject(self, fault: Fault, *, by_hand: bool) -> InjectedFault:
        shown = self.chaos.inject(fault.document())
        if by_hand:
            return InjectedFault(fault, shown, self.chaos, self.mark)
        return InjectedFault(fault, shown, self.chaos)

    def _internal_headers(self) -> dict[str, str]:
        return {"x-service-token": self.service_token()}


def _address(url: str) -> tuple[str, int]:
    place = urlsplit(url)
    return place.hostname or LOOPBACK, place.port or 80
