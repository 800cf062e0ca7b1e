"""The user service: accounts, registration, log-in, and the tokens that the whole shop believes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from cloudcart.services.security import TokenSigner
from cloudcart.services.service import Service, internal_router, reset_route
from cloudcart.services.users import routes
from cloudcart.services.users.accounts import Accounts
from cloudcart.services.users.passwords import Passwords
from cloudcart.services.users.throttle import LoginThrottle
from cloudcart.settings import Settings
from cloudcart.stores.redis import Redis


def create_app(settings: Settings, *, registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return the user service.

    Args:
        settings: uses stores, auth (with the private key) and users.
        registry: where its metrics are registered; a fresh one if none is given.
    """
    service = Service("users", settings, registry)
    redis = Redis(settings.stores.redis, service.telemetry, faults=service.faults)
    outbox = service.outbox()
    passwords = Passwords(settings.auth.bcrypt_rounds, service.telemetry)
    accounts = Accounts(
        service.database,
        outbox,
        passwords,
        LoginThrottle(redis, settings.users.login_attempts),
        seed={"admin": settings.auth.admin_password, "demo": settings.auth.demo_password},
    )
    internal = internal_router(service)
    reset_route(service, internal, accounts.reset)
    if settings.lab:
        routes.add_internal_routes(internal)
    return service.application(
        [routes.auth, routes.users, internal],
        parts={
            "accounts": accounts,
            "signer": TokenSigner(settings.auth, service.faults.surroundings.time),
            "metrics": routes.Metrics(service.telemetry),
        },
        prepare=accounts.seed,
        background=[outbox.run, outbox.measure],
        closing=[redis.close, passwords.close],
    )
