"""The notification worker: consumes every topic, stores what users should know, streams it to them.

A worker first: its consumer runs beside a small application with metrics, a user's notifications and their live stream.
Joining the consumer group takes seconds, so readiness does not wait for it; nothing is lost meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from cloudcart.chaos.active import ActiveFaults
from cloudcart.services.assemble import assemble
from cloudcart.services.notifications import routes
from cloudcart.services.notifications.streams import Streams
from cloudcart.services.notifications.worker import TOPICS, Worker
from cloudcart.services.problems import add_handlers
from cloudcart.services.security import ServiceTokens, TokenVerifier
from cloudcart.settings import Settings
from cloudcart.stores.consumer import EventConsumer
from cloudcart.stores.database import Database
from cloudcart.stores.publisher import Publisher
from cloudcart.telemetry.metrics import Telemetry

__all__ = ["create_app"]

NAME: Final = "notifications"


def create_app(settings: Settings, *, registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return the notification worker as an application; it consumes while its lifespan runs.

    Args:
        settings: the database, the broker (none: it does not consume), keys, and the size of batches.
        registry: where its metrics go; a fresh one if none is given.
    """
    telemetry = Telemetry(NAME, registry)
    faults = ActiveFaults(NAME, lab=settings.lab, seed=settings.chaos.seed)
    database = Database(settings.stores.database.get_secret_value(), settings.stores.pool_size, telemetry)
    streams = Streams()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        publisher = Publisher(settings.stores.kafka, NAME)
        app.state.worker = worker = Worker(database, publisher, streams, telemetry)
        consumer = EventConsumer(
            settings.stores.kafka,
            NAME,
            TOPICS,
            worker.handle,
            batch=settings.notifications.batch,
            faults=faults,
            telemetry=telemetry,
        )
        tasks = [asyncio.create_task(consumer.run())] if settings.stores.kafka else []
        yield
        streams.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await publisher.close()
        await database.close()

    app = FastAPI(title="CloudCart notification worker", lifespan=life)
    app.state.verifier = TokenVerifier(settings.auth)
    app.state.service_tokens = ServiceTokens(settings.auth, NAME)
    app.state.database = database
    app.state.streams = streams
    app.state.faults = faults
    for router in (routes.notifications, routes.internal):
        app.include_router(router)
    add_handlers(app)
    return assemble(NAME, app, settings, telemetry, faults, checks={"database": partial(Database.ping, database)})
