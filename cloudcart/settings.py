"""Every setting and resilience switch of the shop, with its default, unit and meaning.

One frozen tree. The lab makes it once (environment variables ``CLOUDCART_<SECTION>__<FIELD>``, then ``--set
section.field=value``) and gives each service only what it may know (:meth:`Settings.for_service`). Factories take it as
their first argument, so a test builds one by hand; nothing reads the environment on its own. Not here: options of a
single run (rate, duration, seed), which belong to the experiment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloudcart.exceptions import UsageError
from cloudcart.units import Duration, Share

ServiceName = Literal["gateway", "users", "products", "orders", "chaos", "notifications", "traffic"]

SERVICES: Final[Mapping[ServiceName, int]] = {
    "gateway": 3000,
    "users": 8001,
    "products": 8002,
    "orders": 8003,
    "chaos": 8004,
    "notifications": 8005,
}
"""Every service of the shop and its default port. The order is the order in which they are started and shown."""

WITH_DATABASE: Final[tuple[ServiceName, ...]] = ("users", "products", "orders", "notifications")
"""The services that own a schema; the schema and its role have the service's name."""

WITH_KAFKA: Final[tuple[ServiceName, ...]] = ("gateway", *WITH_DATABASE)
"""Those that publish events, or consume them."""

WITH_REDIS: Final[tuple[ServiceName, ...]] = ("gateway", "users", "products")
"""Those that keep in Redis what they can do without: counts of requests and of failed log-ins, pages of lists."""

TRAFFIC_PORT: Final = 8006
"""Default port of the traffic generator, which is no part of the shop and runs only where it is asked for."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stores(_Section):
    """Where the stores are; the lab fills these in."""

    database: SecretStr = Field(SecretStr(""), description="SQLAlchemy URL of PostgreSQL, as this service's own role")
    redis: str = Field("", description="URL of the Redis-protocol server")
    kafka: str = Field("", description="bootstrap address of the Kafka-protocol broker, host:port")
    kafka_durable: bool = Field(False, description="the broker keeps its messages when it is killed")
    kafka_session: Duration = Field(
        6.0,
        gt=0,
        description="silence after which Kafka gives a consumer's partitions to another; a broker has a least",
    )
    pool_size: int = Field(8, ge=1, description="database connections a service keeps open at most")
    inbox_keep: Duration = Field(
        8 * 24 * 3600.0,
        gt=0,
        description="how long consumers know an event again; longer than Kafka keeps messages (7 days by default)",
    )
    clean_up: Duration = Field(60.0, gt=0, description="time between two looks for rows that are kept no longer")
    outbox: bool = Field(
        True,
        description="keep events with the change that they tell of, publish them afterwards; "
        "off: each request publishes its own, and waits for the broker",
    )


class Urls(_Section):
    """Where each service reaches the others; a link fault works by pointing one of these at a proxy."""

    gateway: str = ""
    users: str = ""
    products: str = ""
    orders: str = ""
    chaos: str = ""
    notifications: str = ""
    products_replicas: tuple[str, ...] = Field((), description="further processes of the product service, from 1")

    def of(self, service: ServiceName) -> tuple[str, ...]:
        """Return where each replica of a service is; the first address stands for the whole service."""
        more = self.products_replicas if service == "products" else ()
        return (getattr(self, service), *more)

    def peers(self) -> dict[str, str]:
        """Return which service each known address stands for."""
        return {base: name for name, base in self if isinstance(base, str) and base}


class Auth(_Section):
    """Who may sign and who may verify. There is no default secret: outside a lab they must be given."""

    private_key: SecretStr | None = Field(None, description="Ed25519 private key (PEM); only the user service has it")
    public_key: str | None = Field(None, description="Ed25519 public key (PEM) that every service verifies with")
    service_secret: SecretStr | None = Field(None, description="shared secret of service-to-service calls")
    token_lifetime: Duration = Field(24 * 3600.0, description="how long a user's token is valid")
    bcrypt_rounds: int = Field(10, ge=4, le=16, description="work factor of password hashes")
    admin_password: SecretStr | None = Field(None, description="password of the seeded user 'admin'")
    demo_password: SecretStr | None = Field(None, description="password of the seeded user 'demo'")


class Chaos(_Section):
    """The control plane's own promises."""

    lease: Duration = Field(5.0, description="silence of the control plane after which a service drops all faults")
    poll: Duration = Field(1.0, description="how long the control plane holds a long poll open when nothing changes")
    seed: int = Field(0, description="seed of faults that name none")
    supervisor: str = Field("", description="control socket that pauses and kills services; the lab fills it in")
    links: bool = Field(False, description="lead the lab's links through the fault proxy, so that link faults can act")


class Gateway(_Section):
    """The single entry: limits and resilience, each a switch."""

    rate_limit: bool = Field(True, description="limit requests per client (sliding window in Redis)")
    rate_limit_requests: int = Field(100, ge=1, description="requests a client may make in one window")
    rate_limit_window: Duration = Field(60.0, description="length of the sliding window")
    rate_limit_fallback: bool = Field(
        True, description="while Redis is away, count in each gateway process; off: refuse everybody (503)"
    )
    cors_origins: tuple[str, ...] = Field(("http://localhost:3001", "http://127.0.0.1:3001"), description="origins")
    timeouts: bool = Field(True, description="give up on a slow upstream (504)")
    timeout: Duration = Field(2.0, gt=0, description="time allowed for one upstream attempt")
    timeout_password: Duration = Field(
        5.0, gt=0, description="the same to log in and to register, which wait for a password's hash"
    )
    timeout_pay: Duration = Field(
        4.0, gt=0, description="the same to pay; longer than two calls to the product service may take (orders.timeout)"
    )
    retries: bool = Field(True, description="repeat idempotent calls that failed, within the retry budget")
    retry_attempts: int = Field(2, ge=0, description="repeats of one request at most")
    retry_budget: Share = Field(0.2, description="repeats as a share of requests, over ten seconds")
    bulkhead: bool = Field(True, description="each upstream has its own share of connections")
    bulkhead_size: int = Field(32, ge=1, description="requests in flight to one upstream at most")
    bulkhead_wait: Duration = Field(5.0, description="how long a request waits for a place in there before its 503")
    connections: int = Field(64, ge=1, description="upstream connections in all; without bulkheads they are shared")
    circuit_breaker: bool = Field(True, description="stop calling an upstream that keeps failing (503 at once)")
    breaker_failures: int = Field(20, ge=1, description="failures in a row that open the breaker")
    breaker_reset: Duration = Field(1.0, description="time until an open breaker lets one trial call through")
    cache: bool = Field(True, description="keep product lists, and serve them stale while products is down")
    cache_ttl: Duration = Field(1.0, description="how long a cached product list is fresh")
    outlier_ejection: bool = Field(
        True,
        description="leave a replica alone for a while that is slower than its siblings, or fails more; "
        "off: each gets the same share (holds for the order service's calls, too)",
    )
    ejection: Duration = Field(
        5.0, gt=0, description="how long at first; each time in a row it is longer by as much, up to five times"
    )


class Users(_Section):
    """User service."""

    login_attempts: int = Field(10, ge=1, description="failed log-ins per user name and minute before 429")


class Products(_Section):
    """Product service."""

    replicas: int = Field(1, ge=1, le=4, description="processes of it; faults name one by replica=, from 0")
    low_stock: int = Field(10, ge=0, description="at or below this stock an alert is published")
    atomic_stock: bool = Field(
        True,
        description="check and take stock in one statement; off: read, decide, write, so that two get the same item",
    )
    cache: bool = Field(True, description="keep pages of lists in Redis until a product changes")
    cache_ttl: Duration = Field(30.0, gt=0, description="how long a page is kept at most, whatever the events say")
    hold: Duration = Field(30.0, description="stock taken for an order that is not confirmed by then is released")


class Orders(_Section):
    """Order service."""

    timeouts: bool = Field(True, description="give up on a slow call to the product service")
    timeout: Duration = Field(1.5, gt=0, description="time allowed for one call to the product service")
    retries: bool = Field(True, description="repeat failed calls to the product service (they are idempotent by order)")
    retry_attempts: int = Field(3, ge=0, description="repeats of one call at most")
    idempotency_keep: Duration = Field(
        24 * 3600.0, gt=0, description="how long an Idempotency-Key gets its first answer again"
    )
    charge_once: bool = Field(True, description="a payment that is sent again charges nothing; off: it charges again")
    notify: Literal["events", "direct"] = Field(
        "events",
        description="how the worker hears of an order: 'events' by the outbox, 'direct' by a call that waits",
    )


class Notifications(_Section):
    """Notification worker."""

    batch: int = Field(100, ge=1, description="events handled in one transaction at most")
    dead_letters: bool = Field(
        True,
        description="set aside what cannot be read, on the topic's dead-letter topic; "
        "off: try it again and again, and everything behind it waits",
    )


class Traffic(_Section):
    """Synthetic visitors (``cloudcart up --traffic``)."""

    rate: float = Field(1.0, gt=0, le=50, description="visitors a second; each makes one to four requests")
    burst_factor: float = Field(5.0, ge=1, le=20, description="how many times as many come during a burst")
    burst_every: Duration = Field(120.0, gt=0, description="time from one burst to the next")
    burst_length: Duration = Field(10.0, description="how long a burst lasts")
    mistakes: Share = Field(0.05, description="share of visitors who ask for what the shop has to refuse")
    accounts: int = Field(20, ge=1, description="accounts that visitors register at most")
    seed: int = Field(0, description="decides when visitors come and what they do")


class Release(_Section):
    """What is wrong with a release of a service; a bad deploy sets it."""

    failing: Share = Field(0.0, description="share of requests that this release answers with 500, as by a bug")
    seed: int = Field(0, ge=0, description="chooses which requests those are")


class Containers(_Section):
    """Images of the containers backend; a site without a public registry names its own."""

    postgres: str = Field("postgres:17", description="image of PostgreSQL")
    redis: str = Field("redis:7", description="image of Redis")
    kafka: str = Field("apache/kafka:3.9.1", description="image of Apache Kafka, 3.9 or newer")
    prometheus: str = Field("prom/prometheus:v3.5.0", description="image of Prometheus")
    shop: str = Field("cloudcart:latest", description="image of the shop's services, infra/images/cloudcart")


class Settings(BaseSettings):
    """The whole tree; immutable."""

    model_config = SettingsConfigDict(
        env_prefix="CLOUDCART_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        nested_model_default_partial_update=True,
    )

    lab: bool = Field(False, description="this is a lab: faults may act, request keys are honoured, reset is possible")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe log line written")
    replica: int = Field(0, ge=0, description="which replica of its service a process is; the lab fills it in")
    stores: Stores = Stores()
    urls: Urls = Urls()
    auth: Auth = Auth()
    chaos: Chaos = Chaos()
    gateway: Gateway = Gateway()
    users: Users = Users()
    products: Products = Products()
    orders: Orders = Orders()
    notifications: Notifications = Notifications()
    traffic: Traffic = Traffic()
    release: Release = Release()
    containers: Containers = Containers()

    def with_overrides(self, overrides: Mapping[str, object]) -> Self:
        """Return a copy with dotted settings replaced, as ``{"gateway.rate_limit": "off"}``.

        Raises:
            UsageError: a name that does not exist, or a value of the wrong shape; the message names it.
        """
        tree: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        changes: dict[str, dict[str, object]] = {}
        for dotted, value in overrides.items():
            section, _, field = dotted.rpartition(".")
            owner = type(tree[section]) if isinstance(tree.get(section), _Section) else type(self)
            if (
                field not in owner.model_fields
                or (section and owner is type(self))
                or isinstance(tree.get(dotted), _Section)
            ):
                raise UsageError(f"there is no setting {dotted!r}; 'cloudcart settings' lists them all")
            changes.setdefault(section, {})[field] = value
        try:
            for section, fields in changes.items():
                if section:
                    tree[section] = type(tree[section]).model_validate({**dict(tree[section]), **fields})
            return type(self)(**{**tree, **changes.get("", {})})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(part for part in (section, *map(str, first["loc"])) if part)
            raise UsageError(f"setting {where!r}: {first['msg']} (got {first['input']!r})") from None

    def replicas_of(self, service: str) -> int:
        """Return how many processes a service has."""
        return self.products.replicas if service == "products" else 1

    def switches(self) -> dict[str, object]:
        """Return by dotted name what may be told to anybody: neither addresses nor secrets."""
        tree = self.model_dump(mode="json", exclude={"stores", "urls", "auth", "containers"})
        flat = {
            f"{section}.{name}": value
            for section, fields in tree.items()
            if isinstance(fields, dict)
            for name, value in fields.items()
        }
        return {"lab": self.lab, "stores.kafka_durable": self.stores.kafka_durable, **flat}

    def for_service(self, service: ServiceName) -> Self:
        """Return what ``service`` may know: the signing key goes to users alone, a password to whoever logs in."""
        if service == "users":
            return self
        hidden = {"private_key": None, "demo_password": None}
        if service != "traffic":
            hidden["admin_password"] = None
        return self.model_copy(update={"auth": self.auth.model_copy(update=hidden)})


class SettingInfo(NamedTuple):
    """One line of ``cloudcart settings``."""

    name: str
    default: object
    environment: str
    description: str


def describe_settings() -> Iterator[SettingInfo]:
    """Yield every setting that a user may change, in the order of the tree."""
    defaults = Settings.model_construct()
    for name, info in Settings.model_fields.items():
        value = getattr(defaults, name)
        if not isinstance(value, _Section):
            yield SettingInfo(name, value, f"CLOUDCART_{name.upper()}", info.description or "")
            continue
        for field, inner in type(value).model_fields.items():
            environment = f"CLOUDCART_{name}__{field}".upper()
            yield SettingInfo(f"{name}.{field}", getattr(value, field), environment, inner.description or "")
