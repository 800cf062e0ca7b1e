"""The shop: six services, and the traffic generator; each a factory whose ASGI application can be used alone.

:func:`create_service` is the door; a service is imported when it is first made. The lab's supervisor imports all of
them once (:func:`import_services`) and prepares the database (:func:`prepare_database`) before it forks.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudcart.settings import WITH_DATABASE, ServiceName, Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from sqlalchemy import MetaData

    from cloudcart.stores.migrations import Schema, Upgrade

_MODULES: Final[Mapping[ServiceName, str]] = {
    "gateway": "cloudcart.services.gateway",
    "users": "cloudcart.services.users",
    "products": "cloudcart.services.products",
    "orders": "cloudcart.services.orders",
    "chaos": "cloudcart.services.chaos_control",
    "notifications": "cloudcart.services.notifications",
    "traffic": "cloudcart.services.traffic",
}


def create_service(name: ServiceName, settings: Settings, *, registry: CollectorRegistry | None = None) -> Any:
    """Return the ASGI application of a service, which gets to know only the settings that are its business.

    Args:
        name: which service.
        settings: of the whole shop.
        registry: where its metrics are declared; one of its own unless given.
    """
    return import_module(_MODULES[name]).create_app(settings.for_service(name), registry=registry)


def import_services() -> None:
    """Import every service with all its libraries (over a second), so that forked processes need not."""
    for module in _MODULES.values():
        import_module(module)


def service_tables() -> dict[str, MetaData]:
    """Return the tables of each service that has a schema."""
    return {name: import_module(f"{_MODULES[name]}.tables").METADATA for name in WITH_DATABASE}


def service_schemas() -> dict[str, Schema]:
    """Return what each service that has a schema keeps there, with the folder of its revisions."""
    from cloudcart.stores.migrations import Schema

    return {
        name: Schema(tables, Path(__file__).parent / name / "migrations") for name, tables in service_tables().items()
    }


def migrate_database(admin_url: str, password: str | None = None, *, check: bool = False) -> list[Upgrade]:
    """Bring the schema of every service up to date and say what was done; with ``check``, what would be done.

    Arguments and errors are those of :func:`prepare_database`.
    """
    from cloudcart.stores import migrations

    if check:
        return migrations.inspect(admin_url, service_schemas())
    return migrations.migrate(admin_url, service_schemas(), password)


def prepare_database(admin_url: str, password: str | None = None) -> dict[str, str]:
    """Bring role, schema and tables of every service up to date; takes about 0.1 s where all or nothing is there.

    Args:
        admin_url: SQLAlchemy URL of the database, as a role that may create roles and schemas.
        password: what the services' roles log in with; none on a private Unix socket that trusts its owner.

    Returns:
        The URL of the database for each service, as its own role: what ``Settings.stores.database`` takes.

    Raises:
        SchemaError: a schema is newer than this version, or could not be upgraded.
        StoreError: PostgreSQL is not there.
    """
    from cloudcart.stores.schema import url_for_role

    migrate_database(admin_url, password)
    return {name: url_for_role(admin_url, name, password) for name in WITH_DATABASE}
