"""The chaos service: control plane of all faults.

Needs no store: while PostgreSQL, Redis and Kafka are down, faults can still be injected and healed. Services poll it
(``cloudcart.chaos.agent``); people and programs use ``/chaos/*``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.standing import StandingFaults
from cloudcart.exceptions import FaultError
from cloudcart.services.assemble import assemble
from cloudcart.services.chaos_control import api, legacy
from cloudcart.services.chaos_control.access import Access
from cloudcart.services.chaos_control.administrator import Administrator
from cloudcart.services.chaos_control.ledger import Ledger
from cloudcart.services.chaos_control.publisher import Publisher
from cloudcart.services.chaos_control.supervisor import Supervisor
from cloudcart.services.openapi import describe
from cloudcart.services.problems import add_handlers, problem
from cloudcart.settings import Settings
from cloudcart.telemetry.metrics import Telemetry

__all__ = ["create_app"]


def create_app(settings: Settings, *, registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return the chaos service.

    Args:
        settings: lab or not, lease and length of polls, the CORS list, keys, and the addresses of stores as far as
            their administrator is to be a place of faults.
        registry: where its metrics go; a fresh one if none is given.
    """
    telemetry = Telemetry("chaos", registry)
    publisher = Publisher(settings.stores.kafka, telemetry=telemetry)
    faults = ActiveFaults("chaos", settings.replica, lab=settings.lab, seed=settings.chaos.seed)
    ask = Supervisor(settings.chaos.supervisor) if settings.chaos.supervisor else None
    administrator = Administrator(settings.stores, ask)
    ledger = Ledger(settings.chaos, publisher.publish, admit=administrator.check)
    access = Access(settings)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        standing = StandingFaults(faults, dict.fromkeys(("postgres", "redis", "kafka"), administrator))
        tasks = [asyncio.create_task(run()) for run in (ledger.watch, publisher.run, standing.run)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(title="CloudCart chaos service", lifespan=life)
    app.state.ledger = ledger
    app.state.switch = legacy.Switch(ledger)
    for router in (*api.routers(access, settings), *legacy.routers(access)):
        app.include_router(router)
    app.add_exception_handler(FaultError, _fault_refused)
    add_handlers(app)
    describe(app, open_to=[access])
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.gateway.cors_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["authorization", "content-type"],
    )
    return assemble("chaos", app, settings, telemetry, faults, supervisor=ask, reported=ledger.hits_on_links)


async def _fault_refused(_request: Request, error: Exception) -> Response:
    field, _, message = str(error).partition(": ")
    return problem(422, str(error), errors=[{"field": field, "message": message}])
