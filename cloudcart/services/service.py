"""What the services with a database have in common: their parts, their life, and the application around their routes.

A :class:`Service` is made by each factory from settings alone; it opens nothing before the lifespan. The gateway and
the chaos service keep no tables and do without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.standing import StandingFaults
from cloudcart.exceptions import CloudCartError, RefusedError, StoreError
from cloudcart.services.assemble import assemble
from cloudcart.services.balancing import balancers
from cloudcart.services.http_client import HttpClient
from cloudcart.services.layers import Check
from cloudcart.services.openapi import describe
from cloudcart.services.problems import add_handlers
from cloudcart.services.security import ServiceTokens, TokenVerifier, require_service
from cloudcart.settings import ServiceName, Settings
from cloudcart.stores.database import Database
from cloudcart.stores.outbox import Outbox
from cloudcart.stores.publisher import Publisher
from cloudcart.stores.retention import CleanUp, Retention
from cloudcart.telemetry.context import current
from cloudcart.telemetry.metrics import Telemetry

Background = Callable[[], Coroutine[Any, Any, None]]
"""Work that goes on as long as the service lives."""

_RESETS: Final = 3
_PAUSE: Final = 0.5  # seconds before background work that failed is begun again
_LOG: Final = logging.getLogger(__name__)


class Service:
    """The parts of one service.

    Args:
        name: of the service, its schema and its role.
        settings: as the factory was given them.
        registry: where its metrics are registered; a fresh one if none is given.
    """

    def __init__(self, name: ServiceName, settings: Settings, registry: CollectorRegistry | None) -> None:
        self.name = name
        self.settings = settings
        self.telemetry = Telemetry(name, registry)
        self.faults = ActiveFaults(name, settings.replica, lab=settings.lab, seed=settings.chaos.seed)
        stores = settings.stores
        self.database = Database(
            stores.database.get_secret_value(), stores.pool_size, self.telemetry, faults=self.faults
        )
        self.publisher = Publisher(stores.kafka, name, faults=self.faults, telemetry=self.telemetry)
        self.tokens = ServiceTokens(settings.auth, name, self.faults.surroundings.time)
        self.balancers = balancers(settings)
        self.http = HttpClient(faults=self.faults, peers=settings.urls.peers(), balancers=self.balancers)
        self._ready = asyncio.Event()

    def outbox(self) -> Outbox:
        """Return the service's outbox; to be called once, and its ``run`` and ``measure`` to be kept running."""
        return Outbox(self.database, self.publisher, self.telemetry, durable=self.settings.stores.outbox)

    def clean_up(self, *retentions: Retention) -> Background:
        """Return the background work that deletes what is kept no longer."""
        clean_up = CleanUp(self.database, retentions, self.telemetry)
        return partial(periodically, self.settings.stores.clean_up, clean_up.run)

    def application(
        self,
        routers: Sequence[APIRouter],
        *,
        parts: Mapping[str, object],
        prepare: Callable[[], Awaitable[None]],
        background: Sequence[Background] = (),
        closing: Sequence[Callable[[], Awaitable[None]]] = (),
        checks: Mapping[str, Check] | None = None,
    ) -> ASGIApp:
        """Return the application that the server runs.

        Args:
            routers: its routes.
            parts: what its routes work with, by the name under which ``app.state`` has it.
            prepare: makes the seed; the service is ready when it has succeeded once.
            background: what goes on beside the requests.
            closing: what is to be closed at the end besides the service's own parts.
            checks: what ``/ready`` looks at besides the database.
        """
        lifespan = self._lifespan(prepare, background, closing)
        app = FastAPI(title=f"CloudCart {self.name}", lifespan=lifespan, redoc_url=None)
        add_handlers(app)
        app.state.verifier = TokenVerifier(self.settings.auth, self.faults.surroundings.time)
        app.state.service_tokens = self.tokens
        for name, part in parts.items():
            setattr(app.state, name, part)
        for router in routers:
            app.include_router(router)
        describe(app)
        every_check = {"database": self.database.ping, "seed": self._check_seed, **(checks or {})}
        return assemble(self.name, app, self.settings, self.telemetry, self.faults, checks=every_check)

    async def _check_seed(self) -> None:
        if not self._ready.is_set():
            raise RefusedError(503, "the seed is not there yet")

    def _lifespan(
        self,
        prepare: Callable[[], Awaitable[None]],
        background: Sequence[Background],
        closing: Sequence[Callable[[], Awaitable[None]]],
    ) -> Callable[[FastAPI], Any]:
        async def seed() -> None:
            await prepare()
            self._ready.set()

        @asynccontextmanager
        async def life(_app: FastAPI) -> AsyncIterator[None]:
            standing = StandingFaults(self.faults, {"postgres": self.database})
            tasks = [asyncio.create_task(_keep_going(work)) for work in (seed, standing.run, *background)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for close in (*closing, self.publisher.close, self.http.aclose, self.database.close):
                    await close()

        return life


def internal_router(service: Service) -> APIRouter:
    """Return a router for what only the shop's own services may call; the gateway does not pass it on."""
    return APIRouter(prefix="/internal", dependencies=[Depends(require_service)], tags=[service.name])


def reset_route(service: Service, router: APIRouter, reset: Callable[[], Awaitable[None]]) -> None:
    """Add ``POST /internal/reset`` to ``router``; it exists in a lab only."""
    if service.settings.lab:

        @router.post("/reset", status_code=204)
        async def reset_everything() -> None:
            service.http.forget()
            for _ in range(_RESETS - 1):
                with suppress(StoreError):  # under traffic PostgreSQL may choose it as the victim of a deadlock
                    return await reset()
            return await reset()


async def periodically(seconds: float, action: Callable[[], Awaitable[None]]) -> None:
    """Run ``action`` every so many seconds until cancelled; a store or service that is away does not end it."""
    while True:
        try:
            await action()
        except CloudCartError as error:
            _LOG.debug("%s will be tried again: %s", action, error)
        await asyncio.sleep(seconds)


async def _keep_going(work: Background) -> None:
    """Run ``work`` until it ends well; begin it again when it fails."""
    warned = False
    while True:
        try:
            return await work()
        except Exception:  # a defect must not silently end what the service lives from
            if not warned:
                _LOG.exception("background work of a service failed and is begun again")
            warned = True
        await asyncio.sleep(_PAUSE)


def trace_id() -> str:
    """Return the trace id of the request being served, for its events; empty outside a request."""
    context = current.get()
    return context.trace_id if context is not None else ""
