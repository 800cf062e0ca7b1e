"""The notification worker: consumes every topic, stores what users should know, streams it to them.

A worker first: its consumer runs beside a small application with metrics, a user's notifications and their live stream.
Joining the consumer group takes seconds, so readiness does not wait for it; nothing is lost meanwhile.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from cloudcart.services.notifications import routes
from cloudcart.services.notifications.streams import Streams
from cloudcart.services.notifications.worker import TOPICS, Worker
from cloudcart.services.service import Service, internal_router, reset_route
from cloudcart.settings import Settings
from cloudcart.stores.consumer import EventConsumer


def create_app(settings: Settings, *, registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return the notification worker as an application; it consumes while its lifespan runs.

    Args:
        settings: uses stores, auth and notifications.
        registry: where its metrics are registered; a fresh one if none is given.
    """
    service = Service("notifications", settings, registry)
    streams = Streams()
    worker = Worker(service.database, service.publisher, streams, service.telemetry)
    consumer = EventConsumer(
        settings.stores.kafka,
        service.name,
        TOPICS,
        worker.handle,
        batch=settings.notifications.batch,
        faults=service.faults,
        telemetry=service.telemetry,
    )
    internal = internal_router(service)
    reset_route(service, internal, worker.reset)
    routes.add_internal_routes(internal)
    return service.application(
        [routes.notifications, internal],
        parts={"worker": worker, "streams": streams, "database": service.database, "faults": service.faults},
        prepare=service.database.ping,
        background=[consumer.run],
        closing=[streams.close],
    )
