"""The API gateway: the one entry to the shop.

It checks, limits and protects, and forwards; it has no data and knows no product from an order. ``routes`` says what is
let through and ``app`` is a request's way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from cloudcart.chaos.active import ActiveFaults
from cloudcart.exceptions import RefusedError, StoreError
from cloudcart.services.assemble import assemble
from cloudcart.services.balancing import balancers
from cloudcart.services.balancing_metrics import Ejections
from cloudcart.services.gateway.app import Gateway
from cloudcart.services.gateway.bulkhead import Bulkhead, SharedPool
from cloudcart.services.gateway.cache import ListCache
from cloudcart.services.gateway.headers import Cors
from cloudcart.services.gateway.metrics import BreakerStates, GatewayMetrics
from cloudcart.services.gateway.rate_limit import SCRIPT, RateLimit
from cloudcart.services.gateway.refusals import RefusalEvents
from cloudcart.services.gateway.routes import ENDPOINTS
from cloudcart.services.gateway.schema import PATH as _SCHEMA
from cloudcart.services.gateway.schema import Schema
from cloudcart.services.gateway.upstream import Upstream
from cloudcart.services.http_client import HttpClient
from cloudcart.services.problems import problem
from cloudcart.services.security import SERVICE_HEADER, ServiceTokens, TokenVerifier
from cloudcart.settings import ServiceName, Settings
from cloudcart.stores.redis import Redis
from cloudcart.telemetry.host import HostCollector
from cloudcart.telemetry.metrics import Telemetry
from cloudcart.telemetry.routes import Routes

__all__ = ["create_app"]

_RESET: Final = "/internal/reset"


def create_app(settings: Settings, *, registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return the gateway.

    Args:
        settings: the switches, where the services and Redis are, and the public key of tokens.
        registry: where its metrics go; a fresh one if none is given.
    """
    telemetry = Telemetry("gateway", registry)
    faults = ActiveFaults("gateway", settings.replica, lab=settings.lab, seed=settings.chaos.seed)
    HostCollector(telemetry.registry)
    metrics = GatewayMetrics(telemetry.registry)
    redis = Redis(settings.stores.redis, telemetry, faults=faults) if settings.stores.redis else None
    replicas = balancers(settings)
    client = HttpClient(faults=faults, peers=settings.urls.peers(), balancers=replicas)
    refusals = RefusalEvents(settings.stores.kafka, settings.gateway.rate_limit_window, faults, telemetry)
    limit = _rate_limit(settings, redis)
    metrics.rate_limit_local.set_function(lambda: limit is not None and limit.is_local)
    gateway = Gateway(
        upstreams=_upstreams(settings, client, metrics),
        verifier=TokenVerifier(settings.auth, faults.surroundings.time),
        cors=Cors(settings.gateway.cors_origins),
        limit=limit,
        cache=ListCache(settings.gateway.cache_ttl) if settings.gateway.cache else None,
        metrics=metrics,
        refusals=refusals,
    )
    BreakerStates({name: upstream.breaker for name, upstream in gateway.upstreams.items()}, telemetry.registry)
    Ejections(replicas.values(), telemetry.registry)

    @asynccontextmanager
    async def life(_app: object) -> AsyncIterator[None]:
        publishing = asyncio.create_task(refusals.run())
        yield
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        await client.aclose()
        if redis is not None:
            await redis.close()

    addresses: dict[str, str] = {name: getattr(settings.urls, name) for name in gateway.upstreams}
    others: dict[str, ASGIApp] = {_SCHEMA: Schema(addresses, client)}
    if settings.lab:
        others[_RESET] = _reset(settings, gateway, client, redis)
    door = _Door(gateway, Router(lifespan=life), others)
    return assemble("gateway", door, settings, telemetry, faults, routes=Routes([*ENDPOINTS, _SCHEMA, _RESET]))


class _Door:
    """Tells apart what comes in: requests for the shop, for the few addresses of its own, and the server's life."""

    def __init__(self, gateway: Gateway, life: ASGIApp, others: Mapping[str, ASGIApp]) -> None:
        self._gateway = gateway
        self._life = life
        self._others = others

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._life(scope, receive, send)
        return self._others.get(scope["path"], self._gateway)(scope, receive, send)


def _upstreams(settings: Settings, client: HttpClient, metrics: GatewayMetrics) -> Mapping[ServiceName, Upstream]:
    shared = SharedPool(settings.gateway.connections)
    names: list[ServiceName] = list(dict.fromkeys(endpoint.upstream for endpoint in ENDPOINTS.values()))

    def slots() -> Bulkhead | SharedPool:
        switches = settings.gateway
        return Bulkhead(switches.bulkhead_size, switches.bulkhead_wait) if switches.bulkhead else shared

    return {
        name: Upstream(name, getattr(settings.urls, name), settings.gateway, client, slots(), metrics) for name in names
    }


def _rate_limit(settings: Settings, redis: Redis | None) -> RateLimit | None:
    switches = settings.gateway
    if not switches.rate_limit:
        return None
    run = None if redis is None else partial(redis.run, redis.script(SCRIPT))
    return RateLimit(
        run, switches.rate_limit_requests, switches.rate_limit_window, fallback=switches.rate_limit_fallback
    )


def _reset(settings: Settings, gateway: Gateway, client: HttpClient, redis: Redis | None) -> ASGIApp:
    """Return the application of ``POST /internal/reset``, by which a lab makes the gateway as good as new."""
    tokens = ServiceTokens(settings.auth, "gateway")

    async def reset(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        try:
            if request.method != "POST":
                raise RefusedError(405, "this address is only for POST")
            tokens.check(request.headers.get(SERVICE_HEADER))
        except RefusedError as error:
            await problem(error.status, error.error)(scope, receive, send)
            return
        gateway.reset()
        client.forget()
        if redis is not None:
            with suppress(StoreError):  # what is not there need not be emptied
                await redis.command("FLUSHDB")
        await Response(status_code=204)(scope, receive, send)

    return reset
