"""The shop: six services, and the traffic generator; each a factory whose ASGI application can be used alone.

:func:`create_service` is the door; a service is imported when it is first made. The lab's supervisor imports all of
them once (:func:`import_services`) and prepares the database (:func:`prepare_database`) before it forks.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from cloudcart.settings import ServiceName, Settings

if TYPE_CHECKING:
    from sqlalchemy import MetaData

_MODULES: Final[Mapping[ServiceName, str]] = {
    "gateway": "cloudcart.services.gateway",
    "users": "cloudcart.services.users",
    "products": "cloudcart.services.products",
    "orders": "cloudcart.services.orders",
    "chaos": "cloudcart.services.chaos_control",
    "notifications": "cloudcart.services.notifications",
    "traffic": "cloudcart.services.traffic",
}

WITH_DATABASE: Final[tuple[ServiceName, ...]] = ("users", "products", "orders", "notifications")
"""The services that own a schema; the schema and its role have the service's name."""


def create_service(name: ServiceName, settings: Settings) -> Any:
    """Return the ASGI application of a service, which gets to know only the settings that are its business."""
    return import_module(_MODULES[name]).create_app(settings.for_service(name))


def import_services() -> None:
    """Import every service with all its libraries (over a second), so that forked processes need not."""
    for module in _MODULES.values():
        import_module(module)


def service_tables() -> dict[str, MetaData]:
    """Return the tables of each service that has a schema."""
    return {name: import_module(f"{_MODULES[name]}.tables").METADATA for name in WITH_DATABASE}


def prepare_database(admin_url: str, password: str | None = None) -> dict[str, str]:
    """Create role, schema and tables of every service, as far as they are missing; takes about 0.1 s.

    Args:
        admin_url: SQLAlchemy URL of the database, as a role that may create roles and schemas.
        password: what the services' roles log in with; none on a private Unix socket that trusts its owner.

    Returns:
        The URL of the database for each service, as its own role: what ``Settings.stores.database`` takes.
    """
    from cloudcart.stores.schema import create_schema, url_for_role

    create_schema(admin_url, service_tables(), password)
    return {name: url_for_role(admin_url, name, password) for name in WITH_DATABASE}
