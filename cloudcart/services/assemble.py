"""The one stack: what every request of every service passes through, outermost first.

Each service's factory builds its application and hands it to :func:`assemble`; what comes back is what the server runs.
Not here: what the layers do (``services.layers``, ``chaos.middleware``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.agent import POLL_PATH, Agent
from cloudcart.chaos.metrics import ChaosMetrics, Reported
from cloudcart.chaos.middleware import ChaosMiddleware
from cloudcart.chaos.process import AskSupervisor, ProcessFaults
from cloudcart.exceptions import UpstreamBrokenError
from cloudcart.services.every_route import every_route
from cloudcart.services.http_client import HttpClient
from cloudcart.services.layers import (
    BodyLimitLayer,
    Check,
    LifespanLayer,
    OperationsLayer,
    RequestContextLayer,
    TrafficLayer,
)
from cloudcart.services.release import FailingRelease
from cloudcart.services.security import ServiceTokens
from cloudcart.settings import ServiceName, Settings
from cloudcart.telemetry.logs import AccessLog
from cloudcart.telemetry.metrics import Telemetry
from cloudcart.telemetry.routes import Routes

_PATIENCE: Final = 2.0  # seconds beyond the control plane's own holding time after which a poll is given up


def assemble(
    service: ServiceName,
    app: ASGIApp,
    settings: Settings,
    telemetry: Telemetry,
    faults: ActiveFaults | None = None,
    *,
    checks: Mapping[str, Check] | None = None,
    routes: Routes | None = None,
    supervisor: AskSupervisor | None = None,
    reported: Reported = tuple,
) -> ASGIApp:
    """Return ``app`` behind the stack.

    Args:
        service: whose application it is; faults are aimed at this name.
        app: the application; its own lifespan runs inside the stack's.
        settings: as the factory was given them.
        telemetry: as the factory made it; ``/metrics`` answers its registry.
        faults: what is active in this process, if the service needs it elsewhere, too; made here if not given.
        checks: what ``/ready`` looks at, by name, such as ``{"database": ping}``.
        routes: the templates; read from the application if not given.
        supervisor: reaches the lab's supervisor; the chaos service's, which pauses and kills others.
        reported: hits of faults in processes without metrics of their own, for :class:`ChaosMetrics`.
    """
    faults = faults or ActiveFaults(service, settings.replica, lab=settings.lab, seed=settings.chaos.seed)
    ChaosMetrics(faults, telemetry.registry, reported)
    routes = routes or Routes(route_templates(app))
    log = AccessLog(service) if settings.log_level in ("debug", "info") else None
    background = [telemetry.watch_event_loop]
    if settings.lab and settings.urls.chaos:
        background.append(partial(follow_control_plane, service, settings, faults, routes, supervisor))
    outermost_first: list[Callable[[ASGIApp], ASGIApp]] = [
        partial(LifespanLayer, background=background),
        partial(RequestContextLayer, lab=settings.lab),
        partial(TrafficLayer, telemetry=telemetry, routes=routes, log=log),  # outside chaos: injected errors count
        partial(ChaosMiddleware, active=faults),
        BodyLimitLayer,
        partial(OperationsLayer, telemetry=telemetry, checks=checks or {}, surroundings=faults.surroundings),
    ]
    if settings.release.failing:
        outermost_first.append(partial(FailingRelease, release=settings.release))
    for layer in reversed(outermost_first):
        app = layer(app)
    return app


async def follow_control_plane(
    service: str,
    settings: Settings,
    faults: ActiveFaults,
    routes: Iterable[str],
    supervisor: AskSupervisor | None = None,
) -> None:
    """Keep ``faults`` equal to what the chaos service says, until cancelled; ``routes`` are what a target may name."""
    tokens = ServiceTokens(settings.auth, service)
    client = HttpClient()

    async def poll(question: bytes) -> bytes:
        headers = [tokens.header(), (b"content-type", b"application/json")]
        response = await client.request("POST", settings.urls.chaos, POLL_PATH, headers=headers, body=question)
        if response.status != 200:
            raise UpstreamBrokenError(f"the control plane answered a poll with {response.status}")
        return response.body

    process = ProcessFaults(faults, supervisor)
    agent = Agent(faults, poll, routes=routes, process=process, patience=settings.chaos.poll + _PATIENCE)
    watching = asyncio.create_task(process.watch())
    try:
        await agent.run()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await client.aclose()


def route_templates(app: ASGIApp) -> list[str]:
    """Return the templates of a Starlette or FastAPI application, in the order in which its router tries them."""
    return [template for template in _templates(getattr(app, "routes", ())) if template]


def _templates(routes: Iterable[Any]) -> Iterator[str]:
    for route in every_route(routes):
        yield getattr(route, "path", "") or ""
