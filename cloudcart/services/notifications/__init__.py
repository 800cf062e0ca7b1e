"""The notification worker: consumes every topic, logs each event, stores and streams what users are told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from cloudcart.events import EVENTS
from cloudcart.services.notifications import routes
from cloudcart.services.notifications.stream import Listeners
from cloudcart.services.notifications.worker import Worker
from cloudcart.services.service import Service, internal_router, reset_route
from cloudcart.settings import Settings
from cloudcart.stores.consumer import ConsumerMetrics, EventConsumer
from cloudcart.stores.inbox import inbox_retention


def create_app(settings: Settings, *, registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return the notification worker. It is ready before its consumer has joined the group, which takes seconds.

    Args:
        settings: uses stores, auth and notifications.
        registry: where its metrics are registered; a fresh one if none is given.
    """
    service = Service("notifications", settings, registry)
    listeners = Listeners()
    dead_letters = settings.notifications.dead_letters
    metrics = ConsumerMetrics(service.telemetry)
    worker = Worker(
        service.database, service.publisher, listeners, service.telemetry, metrics, dead_letters=dead_letters
    )
    consumer = EventConsumer(
        settings.stores.kafka,
        "notifications",
        tuple(EVENTS),
        worker.handle,
        batch=settings.notifications.batch,
        session=settings.stores.kafka_session,
        faults=service.faults,
        metrics=metrics,
    )
    internal = internal_router(service)
    reset_route(service, internal, worker.reset)
    routes.add_internal_routes(internal)
    return service.application(
        [routes.notifications, internal],
        parts={"worker": worker, "listeners": listeners},
        prepare=service.database.ping,
        background=[consumer.run, service.clean_up(inbox_retention(settings.stores.inbox_keep))],
    )
