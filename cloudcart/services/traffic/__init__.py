"""The traffic generator: synthetic visitors of the shop, so that a dashboard is never empty.

A client of the gateway like any other, without a store and without an API of its own: only ``/metrics``, ``/health``
and ``/ready``. Started by ``cloudcart up --traffic``. Not here: load that is measured, which is ``cloudcart.load``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry
from starlette.routing import Router
from starlette.types import ASGIApp

from cloudcart.services.assemble import assemble
from cloudcart.services.http_client import HttpClient
from cloudcart.services.traffic.arrivals import arrivals
from cloudcart.services.traffic.clerk import Clerk, Sales
from cloudcart.services.traffic.client import Client, TrafficMetrics
from cloudcart.services.traffic.crowd import Crowd
from cloudcart.services.traffic.visits import Visits
from cloudcart.settings import Settings
from cloudcart.telemetry.metrics import Telemetry
from cloudcart.telemetry.routes import Routes

__all__ = ["create_app"]


def create_app(settings: Settings, *, registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return the traffic generator.

    Args:
        settings: uses traffic, the gateway's address, and the administrator's password, with which stock is filled up.
        registry: where its metrics are registered; a fresh one if none is given.
    """
    telemetry = Telemetry("traffic", registry)
    metrics = TrafficMetrics(telemetry.registry)
    http = HttpClient()
    client = Client(http, settings.urls.gateway, metrics)
    draw = random.Random(settings.traffic.seed)
    sales = Sales()
    crowd = Crowd(Visits(client, settings.traffic, sales, draw), arrivals(settings.traffic, draw), metrics)
    clerk = Clerk(client, settings.auth.admin_password, sales, draw)

    @asynccontextmanager
    async def life(_app: object) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(crowd.run()), asyncio.create_task(clerk.run())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await http.aclose()

    return assemble("traffic", Router(lifespan=life), settings, telemetry, routes=Routes([]))
