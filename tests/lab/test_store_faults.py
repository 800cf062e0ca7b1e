"""The contracts of faults of stores and brokers, measured on a running shop: inject, it shows; heal, it clears.

Each contract is two questions to the shop, asked until they are answered with yes or the contract's time is over.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cloudcart.exceptions import FaultError
from cloudcart.faults import FAULTS
from cloudcart.lab import Lab

_NAMES = (f"contract{number}" for number in itertools.count())
_SPARE = 3.0  # seconds beyond a contract's own times, since other tests use the machine, too
_NEXT_BATCH = 0.5  # seconds; the worker gathers for 40 ms


class Watched:
    """A lab, and what a test looks at."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.http = httpx.Client(trust_env=False, timeout=8.0)

    def metric(self, service: str, name: str, **labels: str) -> float:
        text = self.http.get(f"{self.lab.urls[service]}/metrics").text
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    def register(self) -> None:
        """Make an event: user.created."""
        name = next(_NAMES)
        document = {"username": name, "email": f"{name}@example.com", "password": "long enough 1"}
        self.http.post(f"{self.lab.urls['users']}/auth/register", json=document).raise_for_status()

    def outcome(self, outcome: str) -> float:
        return self.metric("notifications", "kafka_events_consumed_total", topic="user.created", outcome=outcome)

    def lag(self) -> float:
        return self.metric("notifications", "kafka_consumergroup_lag", topic="user.created")

    def lateness(self) -> float:
        """Seconds from the occurrence of one new event to its effect."""
        before = [self.metric("notifications", f"event_end_to_end_seconds_{part}") for part in ("sum", "count")]
        self.register()
        after = before
        while after[1] == before[1]:
            after = [self.metric("notifications", f"event_end_to_end_seconds_{part}") for part in ("sum", "count")]
        return (after[0] - before[0]) / (after[1] - before[1])

    def seconds_to_look(self) -> float:
        """How long a look at a product takes, in the product service itself."""
        return self.http.get(f"{self.lab.urls['products']}/products/1").elapsed.total_seconds()

    def pool(self) -> float:
        """The used share of the product service's database connections."""
        return self.metric("products", "db_pool_in_use") / self.metric("products", "db_pool_size")

    def sessions_grow(self) -> bool:
        """Whether sessions of the database are being ended by force."""
        before = self._sessions_killed()
        for _ in range(3):
            self.seconds_to_look()
        deadline = time.monotonic() + 1.5  # the server's statistics are up to a second old
        while self._sessions_killed() == before:
            if time.monotonic() > deadline:
                return False
        return True

    def _sessions_killed(self) -> int:
        with psycopg.connect(self.lab.database_url, autocommit=True) as connection:
            row = connection.execute("SELECT sum(sessions_killed)::int FROM pg_stat_database").fetchone()
        assert row is not None
        return int(row[0])

    def log_in(self) -> httpx.Response:
        """Log in with a wrong password; after ten of those a minute it is refused with 429."""
        login = {"username": "nobody", "password": "a wrong password"}
        return self.http.post(f"{self.lab.urls['users']}/auth/login", json=login)

    def grows(self, read: Callable[[], float]) -> bool:
        """Whether a new event makes a number grow before the event is handled, or in the worker's next batch."""
        before, handled = read(), self.outcome("handled")
        self.register()
        deadline = time.monotonic() + _SPARE
        while self.outcome("handled") == handled:
            assert time.monotonic() < deadline, "the event was not handled"
        deadline = time.monotonic() + _NEXT_BATCH
        while read() == before:
            if time.monotonic() > deadline:
                return False
        return True


Question = Callable[[Watched], object]


@dataclass
class Promise:
    """What is injected; what must then become true; what must become true again after the heal."""

    document: dict[str, Any]
    moved: Question
    back: Question
    before: Question = lambda _shop: None


PROMISES = [
    Promise(
        {"kind": "slow_consumer", "target": "notifications", "delay": "1s"},
        lambda shop: (shop.register(), shop.lag() > 0)[1],
        lambda shop: shop.lag() == 0,
    ),
    Promise(
        {"kind": "consumer_pause", "target": "kafka:user.created"},
        lambda shop: (shop.register(), shop.lag() > 0)[1],
        lambda shop: shop.lag() == 0,
    ),
    Promise(
        {"kind": "publish_fail", "target": "users"},
        lambda shop: (shop.register(), shop.metric("users", "outbox_pending") > 0)[1],
        lambda shop: shop.metric("users", "outbox_pending") == 0,
    ),
    Promise(
        {"kind": "publish_delay", "target": "users", "delay": "700ms"},
        lambda shop: shop.lateness() > 0.7,
        lambda shop: shop.lateness() < 0.6,
    ),
    Promise(
        {"kind": "duplicate", "target": "kafka:user.created"},
        lambda shop: shop.grows(lambda: shop.outcome("ignored")),
        lambda shop: not shop.grows(lambda: shop.outcome("ignored")),
    ),
    Promise(
        {"kind": "poison_message", "target": "users"},
        lambda shop: shop.grows(lambda: shop.outcome("dead_letter")),
        lambda shop: not shop.grows(lambda: shop.outcome("dead_letter")),
    ),
    Promise(
        {"kind": "db_lock", "target": "products", "table": "products"},
        lambda shop: shop.seconds_to_look() > 0.5,
        lambda shop: shop.seconds_to_look() < 0.3,
    ),
    Promise(
        {"kind": "db_slow_query", "target": "products->postgres", "delay": "400ms"},
        lambda shop: shop.seconds_to_look() > 0.4,
        lambda shop: shop.seconds_to_look() < 0.3,
    ),
    Promise(
        {"kind": "db_pool_drain", "target": "products", "share": 0.75},
        lambda shop: shop.pool() == 0.75 and shop.seconds_to_look() < 0.5,
        lambda shop: shop.pool() == 0,
    ),
    Promise(
        {"kind": "db_kill_connections", "target": "products", "every": "100ms"},
        lambda shop: shop.sessions_grow(),
        lambda shop: not shop.sessions_grow(),
    ),
    Promise(
        {"kind": "redis_slow", "target": "users", "delay": "200ms"},
        lambda shop: shop.log_in().elapsed.total_seconds() > 0.4,
        lambda shop: shop.log_in().elapsed.total_seconds() < 0.4,
    ),
    Promise(
        {"kind": "redis_flush", "target": "redis", "every": "50ms"},
        lambda shop: shop.log_in().status_code == 401,
        lambda shop: shop.log_in().status_code == 429,
        before=lambda shop: _until(lambda: shop.log_in().status_code == 429, 10.0),
    ),
    Promise(
        {"kind": "broker_pause", "target": "kafka"},
        lambda shop: (shop.register(), shop.metric("users", "outbox_pending") > 0)[1],
        lambda shop: shop.metric("users", "outbox_pending") == 0 and shop.lag() == 0,
    ),
]


@pytest.fixture(scope="module")
def shop(lab: Lab) -> Iterator[Watched]:
    """The lab, once its worker consumes."""
    lab.reset()
    watched = Watched(lab)
    watched.register()
    _until(lambda: watched.outcome("handled") > 0, 20.0)
    yield watched
    watched.http.close()
    lab.reset()


def _until(condition: Callable[[], object], patience: float) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not so within {patience:g} s"
        time.sleep(0.01)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.document["kind"])
def test_a_fault_does_what_its_contract_says_and_ends(shop: Watched, promise: Promise) -> None:
    contract = FAULTS[promise.document["kind"]].contract
    promise.before(shop)
    with shop.lab.inject(**{"ttl": "20s", **promise.document}) as fault:
        _until(lambda: promise.moved(shop), contract.shows_within + _SPARE)
        _until(lambda: fault.injected > 0, 1.0)
    _until(lambda: promise.back(shop), contract.clears_within + _SPARE)
    assert fault.drawn >= fault.injected > 0


def test_a_killed_control_plane_leaves_no_table_locked_and_no_broker_paused(shop: Watched) -> None:
    chaos = psutil.Process(shop.lab.pids["chaos"])
    broker = psutil.Process(shop.lab.pids["broker"])
    shop.lab.inject("db_lock", target="products", table="products")
    shop.lab.inject("broker_pause", target="kafka")
    _until(lambda: shop.seconds_to_look() > 0.5, _SPARE)
    _until(lambda: broker.status() == psutil.STATUS_STOPPED, _SPARE)
    chaos.kill()
    _until(lambda: shop.seconds_to_look() < 0.3, _SPARE)
    _until(lambda: broker.status() != psutil.STATUS_STOPPED, 5.0 + _SPARE)
    shop.lab.wait_ready()


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"kind": "broker_kill", "target": "kafka"}, "broker_kill needs a broker that keeps its messages on disk"),
        ({"kind": "db_lock", "target": "products", "table": "prices"}, "products has no table 'prices'; it has"),
        ({"kind": "db_pool_drain", "target": "gateway"}, "db_pool_drain finds nothing to act on in gateway"),
    ],
)
def test_what_this_shop_cannot_do_is_refused_with_a_sentence(
    shop: Watched, document: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(FaultError, match=sentence):
        shop.lab.inject(**document)
    assert not shop.http.get(f"{shop.lab.urls['chaos']}/chaos/faults", params={"state": "active"}).json()
