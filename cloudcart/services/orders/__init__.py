"""The order service: orders, their life cycle, payment."""

from __future__ import annotations

from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from cloudcart.services.balancing_metrics import Ejections
from cloudcart.services.orders import routes
from cloudcart.services.orders.idempotency import key_retention
from cloudcart.services.orders.metrics import OrderMetrics
from cloudcart.services.orders.moving import Moving
from cloudcart.services.orders.notifying import Notifier
from cloudcart.services.orders.ordering import Ordering
from cloudcart.services.orders.products_client import ProductsClient
from cloudcart.services.service import Service, internal_router, periodically, reset_route
from cloudcart.settings import Settings

_COUNT: Final = 2.0  # seconds between two counts of orders by status


def create_app(settings: Settings, *, registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return the order service.

    Args:
        settings: uses stores, urls (products, notifications), auth and orders.
        registry: where its metrics are registered; a fresh one if none is given.
    """
    service = Service("orders", settings, registry)
    outbox = service.outbox()
    metrics = OrderMetrics(service.telemetry)
    products = ProductsClient(service)
    Ejections(service.balancers.values(), service.telemetry.registry)
    notifier = Notifier(service)
    ordering = Ordering(service.database, outbox, products, notifier, metrics)
    charge_once = settings.orders.charge_once
    moving = Moving(service.database, outbox, ordering, products, notifier, metrics, charge_once=charge_once)

    async def count_by_status() -> None:
        metrics.set_by_status(await ordering.count_by_status())

    internal = internal_router(service)
    reset_route(service, internal, ordering.reset)
    routes.add_internal_routes(internal)
    return service.application(
        [routes.orders, internal],
        parts={"ordering": ordering, "moving": moving},
        prepare=count_by_status,
        background=[
            outbox.run,
            outbox.measure,
            partial(periodically, _COUNT, count_by_status),
            service.clean_up(key_retention(settings.orders.idempotency_keep)),
        ],
    )
