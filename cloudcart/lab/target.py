"""Somebody's own service in a lab's place: an experiment runs on it as on the shop.

A :class:`Target` gives what a run asks of a lab; what a foreign service has not (accounts, events, invariants, a reset)
is empty. Faults reach it through a control plane that it follows (``cloudcart.Hooks``, ``ChaosMiddleware``), which
:func:`control_plane` runs. Objectives and reports call the service that clients talk to ``gateway``, whatever its name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

import httpx

from cloudcart.exceptions import LabError
from cloudcart.lab.backend import Handle
from cloudcart.lab.lab import Lab, PreparedUser

if TYPE_CHECKING:
    from cloudcart.chaos.client import ControlPlane
    from cloudcart.faults import Fault
    from cloudcart.lab.event_tap import EventTap, PublishedEvent
    from cloudcart.lab.invariants import InvariantResult
    from cloudcart.signals import MetricNames

_STARTED_WITHIN: Final = 15.0  # seconds for the control plane
_LOOK: Final = 0.01


class Target(Lab):
    """A service that is not ours, running somewhere.

    Args:
        base_url: where clients reach it.
        service: the name by which targets of faults call it, as its middleware was told.
        metrics_url: its metrics, or its base URL where they are at ``/metrics``; empty: it has none.
        chaos_url: the control plane that it follows.
        names: which of its metrics tells what.
        wake: a path that is asked for until the service follows the control plane; empty: it does so by itself.
    """

    def __init__(
        self, base_url: str, *, service: str, metrics_url: str, chaos_url: str, names: MetricNames, wake: str = ""
    ) -> None:
        super().__init__(service, "target", cast("Handle", _NoHandle()))
        self._base_url, self._metrics_url, self._chaos_url = base_url.rstrip("/"), metrics_url, chaos_url
        self._names, self._wake = names, wake

    @property
    def urls(self) -> dict[str, str]:
        """The service, as the gateway, and its control plane."""
        return {"gateway": self._base_url, "chaos": self._chaos_url}

    @cached_property
    def service_urls(self) -> dict[str, str]:
        """Where metrics are read."""
        return {"gateway": self._metrics_url} if self._metrics_url else {}

    @property
    def metric_names(self) -> MetricNames:
        """Which of its metrics tells what."""
        return self._names

    @cached_property
    def chaos(self) -> ControlPlane:
        """The control plane of faults."""
        from cloudcart.chaos.client import ControlPlane

        return ControlPlane(self._chaos_url)

    def unsteady(self) -> list[str]:
        """Return why a run should not begin now: the service does not follow the control plane."""
        if any(entry["service"] == self.name for entry in self.chaos.targets()):
            return []
        return [f"no process of {self.name} follows the control plane; start it with CLOUDCART_CHAOS_URL set"]

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until the service follows the control plane.

        Raises:
            LabError: it did not within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while doubts := self.unsteady():
            if time.monotonic() > deadline:
                raise LabError(doubts[0])
            if self._wake:
                with suppress(httpx.TransportError):  # it may still be starting
                    self.get(self._wake)
            time.sleep(_LOOK)

    def get(self, path: str) -> httpx.Response:
        """Ask the service for something, as a client."""
        return httpx.get(f"{self._base_url}{path}", timeout=10.0, trust_env=False)

    def reset(self) -> None:
        """Heal everything, which is all that can be done to a service that is not ours."""
        self.heal()
        self.wait_ready()
        self._scrapes.clear()

    def prepare_users(self, count: int) -> list[PreparedUser]:
        """Return nobody: who needs an account makes it in the journey."""
        del count
        return []

    def token(self, login: str = "admin") -> str:
        """Return nothing; see :meth:`prepare_users`."""
        del login
        return ""

    def tap_events(self, *, from_beginning: bool = False) -> EventTap:
        """Return a collector of nothing: its events are not known."""
        del from_beginning
        return cast("EventTap", _NoEvents())

    def check_invariants(self, tap: EventTap) -> list[InvariantResult]:
        """Return none: what must be true of its data is for its own tests to say."""
        del tap
        return []

    def _fault(self, document: Mapping[str, object]) -> Fault:
        from cloudcart.faults import parse_fault

        return parse_fault(document, services=None)


class _NoHandle:
    """The handle of what nobody started."""

    def record(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        return


class _NoEvents:
    """A tap where nothing is published."""

    events: tuple[Any, ...] = ()

    def published(self) -> list[PublishedEvent]:
        return []

    def close(self) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


@contextmanager
def control_plane() -> Iterator[str]:
    """Run a control plane of faults in a thread and give its URL; services that follow it may be started then.

    Raises:
        LabError: it did not start.
    """
    import uvicorn

    from cloudcart.lab.ports import hold
    from cloudcart.services import create_service
    from cloudcart.settings import Settings

    with hold() as listener:
        app = create_service("chaos", Settings(lab=True, log_level="error"))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],), name="cloudcart-control-plane", daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + _STARTED_WITHIN
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise LabError("the control plane of faults did not start; run pytest with -s to see why")
                time.sleep(_LOOK)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
