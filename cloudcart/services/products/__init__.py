"""The product service: catalogue, search, stock, and alerts when stock runs low."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from starlette.types import ASGIApp

from cloudcart.services.products import order_events, routes, shared_lists
from cloudcart.services.products.catalogue import Catalogue
from cloudcart.services.products.order_events import OrderEvents
from cloudcart.services.products.orders_client import OrdersClient
from cloudcart.services.products.shared_lists import SharedLists
from cloudcart.services.products.stock import Stock
from cloudcart.services.service import Service, internal_router, periodically, reset_route
from cloudcart.settings import Settings
from cloudcart.stores.consumer import ConsumerMetrics, EventConsumer, Handle
from cloudcart.stores.inbox import inbox_retention
from cloudcart.stores.redis import Redis

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
    consumed = ConsumerMetrics(service.telemetry)
    events = OrderEvents(service.database, outbox, stock, consumed)
    redis = Redis(settings.stores.redis, service.telemetry, faults=service.faults)
    lists = SharedLists(redis, settings.products.cache_ttl, service.telemetry, consumed)
    shared = lists if settings.products.cache else None
    catalogue = Catalogue(service.database, outbox, stock, orders.open_orders, shared)

    def consumer(group: str, topics: Sequence[str], handle: Handle) -> EventConsumer:
        kafka, session = settings.stores.kafka, settings.stores.kafka_session
        return EventConsumer(kafka, group, topics, handle, session=session, faults=service.faults, metrics=consumed)

    consumers = [consumer("products", order_events.TOPICS, events.handle)]
    if shared is not None:  # in a group of its own: while Redis is away, events of orders are handled all the same
        consumers.append(consumer("products-lists", shared_lists.TOPICS, shared.handle))
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
            *(each.run for each in consumers),
            partial(periodically, min(_SWEEP, settings.products.hold), sweep),
            partial(periodically, _COUNT, count_low),
            service.clean_up(inbox_retention(settings.stores.inbox_keep)),
        ],
        closing=[redis.close],
    )
