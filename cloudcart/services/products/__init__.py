"""The product service: catalogue, search, stock, and alerts when stock runs low."""

from __future__ import annotations

from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from starlette.types import ASGIApp

from cloudcart.services.products import order_events, routes
from cloudcart.services.products.catalogue import Catalogue
from cloudcart.services.products.order_events import OrderEvents
from cloudcart.services.products.orders_client import OrdersClient
from cloudcart.services.products.stock import Stock
from cloudcart.services.service import Service, internal_router, periodically, reset_route
from cloudcart.settings import Settings
from cloudcart.stores.consumer import EventConsumer
from cloudcart.stores.inbox import inbox_retention

_SWEEP: Final = 5.0  # seconds between two looks for stock that nobody bought, at most
_COUNT: Final = 2.0  # seconds between two counts of what is low


def create_app(settings: Settings, *, registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return the product service.

    Args:
        settings: uses stores, urls (orders), auth and products.
        registry: where its metrics are registered; a fresh one if none is given.
    """
    service = Service("products", settings, registry)
    outbox = service.outbox()
    stock = Stock(outbox, settings.products.low_stock, service.telemetry, atomic=settings.products.atomic_stock)
    orders = OrdersClient(service)
    catalogue = Catalogue(service.database, outbox, stock, orders.open_orders)
    events = OrderEvents(service.database, outbox, stock, service.telemetry)
    consumer = EventConsumer(
        settings.stores.kafka,
        "products",
        order_events.TOPICS,
        events.handle,
        session=settings.stores.kafka_session,
        faults=service.faults,
        telemetry=service.telemetry,
    )
    low = Gauge("low_stock_products", "Products at or below the threshold.", registry=service.telemetry.registry)

    async def count_low() -> None:
        low.set(await catalogue.count_low(settings.products.low_stock))

    async def sweep() -> None:
        await events.sweep(settings.products.hold, orders.settle)

    internal = internal_router(service)
    reset_route(service, internal, catalogue.reset)
    routes.add_internal_routes(internal)
    return service.application(
        [routes.products, internal],
        parts={"catalogue": catalogue, "stock": stock, "views": routes.Views(service.telemetry)},
        prepare=catalogue.seed,
        background=[
            outbox.run,
            outbox.measure,
            consumer.run,
            partial(periodically, min(_SWEEP, settings.products.hold), sweep),
            partial(periodically, _COUNT, count_low),
            service.clean_up(inbox_retention(settings.stores.inbox_keep)),
        ],
    )
