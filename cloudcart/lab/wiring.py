"""The settings of a lab's services, computed in one place: what the user asked for, and what the lab has made.

Called by the supervisor before it forks. Not here: the settings themselves (``cloudcart.settings``).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import SecretStr

from cloudcart.settings import ServiceName, Settings, Urls

# The sooner the mock broker gives up a worker that was killed, the sooner its successor gets the partitions; but it
# takes 3 s over a first join, in which nobody sends a heartbeat. Kafka itself would not accept less than 6 s.
_KAFKA_SESSION: Final = 4.0


class Addresses(NamedTuple):
    """Where everything that services share is reached; ``urls`` has each process of a service by its name."""

    urls: Mapping[str, str]
    redis: str
    kafka: str
    kafka_durable: bool = False


def lab_settings(overrides: Mapping[str, object]) -> Settings:
    """Return the settings of a new lab: environment, then ``overrides``; fresh keys and passwords where none is given.

    Raises:
        UsageError: an override that does not exist or has the wrong shape; the message names it.
    """
    quick = {"stores.kafka_session": _KAFKA_SESSION}
    settings = Settings().with_overrides({**quick, **overrides, "lab": True})
    made = {name: make() for name, make in _SECRETS.items() if getattr(settings.auth, name) is None}
    if settings.auth.private_key is None or settings.auth.public_key is None:
        made |= _key_pair()
    return settings.with_overrides({f"auth.{name}": value for name, value in made.items()})


def at(settings: Settings, addresses: Addresses) -> Settings:
    """Return ``settings`` with the addresses that all services share."""
    urls: dict[str, object] = {f"urls.{name}": url for name, url in addresses.urls.items() if "/" not in name}
    urls["urls.products_replicas"] = [url for name, url in addresses.urls.items() if name.startswith("products/")]
    stores = {f"stores.{name}": getattr(addresses, name) for name in ("redis", "kafka", "kafka_durable")}
    return settings.with_overrides({**urls, **stores})


def for_service(
    settings: Settings,
    service: ServiceName,
    databases: Mapping[str, str],
    supervisor: Path,
    links: Mapping[str, object],
    *,
    replica: int = 0,
) -> Settings:
    """Return what the process of ``service`` gets: its own role's database, and only the secrets it may know.

    Args:
        settings: the lab's.
        service: which service.
        databases: the database's URL for each service that has a schema; for chaos, the administrator's.
        supervisor: the supervisor's control socket, for the chaos service alone.
        links: settings that lead its links through the fault proxy, if they go there.
        replica: which of the service's replicas.
    """
    own = settings.with_overrides({"stores.database": databases.get(service, ""), "replica": replica, **links})
    if service == "chaos":
        own = own.with_overrides({"chaos.supervisor": str(supervisor)})
    return own.for_service(service)


def for_traffic(settings: Settings) -> Settings:
    """Return what the traffic generator gets: an outsider that knows the gateway and no store, and takes no faults."""
    elsewhere = {f"urls.{name}": nowhere for name, nowhere in Urls() if name != "gateway"}
    stores = {"stores.redis": "", "stores.kafka": ""}
    return settings.with_overrides({**elsewhere, **stores, "auth.service_secret": None}).for_service("traffic")


def dump_settings(settings: Settings) -> dict[str, Any]:
    """Return ``settings`` as JSON values, secrets included: for a file that only this user can read."""
    text = json.dumps(settings.model_dump(), default=_plain)
    document: dict[str, Any] = json.loads(text)
    return document


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _key_pair() -> dict[str, str]:
    """Return a fresh Ed25519 pair (RFC 8032) as PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    private = Ed25519PrivateKey.generate()
    return {
        "private_key": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "public_key": private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    }


def _password() -> str:
    return secrets.token_urlsafe(12)


def _service_secret() -> str:
    return secrets.token_urlsafe(32)


_SECRETS = {"admin_password": _password, "demo_password": _password, "service_secret": _service_secret}
