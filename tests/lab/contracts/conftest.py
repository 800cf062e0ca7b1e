"""How the quantities that contracts speak of are read of a running shop, from outside, as anybody could."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import httpx
import psutil
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cloudcart.events import ChaosCleared
from cloudcart.faults import contract
from cloudcart.faults.contract import Quantity
from cloudcart.lab import Lab, start

Read = Callable[[], float]
"""Reads a quantity, once."""

_LOOKS: Final = 10  # requests of one reading, at once
_PATIENCE: Final = 1.0  # seconds; who is not answered by then has seen a failure
_HANDLED: Final = 0.4  # seconds in which a healthy worker has handled an event; it gathers for 40 ms
_LATEST: Final = 5.0  # seconds after which an event under a delay has arrived
_START: Final = 5.0  # seconds that the start of a service takes at most
_WINDOW: Final = 0.6  # seconds in which a blocked event loop shows
BACKEND: Final = os.environ.get("CLOUDCART_CONTRACTS_BACKEND", "embedded")
"""Where contracts are kept, or measured."""
_STATISTICS: Final = 1.5  # seconds by which PostgreSQL's statistics may be late


@dataclass(frozen=True)
class Look:
    """One request for a product; ``status`` 0: there was no answer."""

    seconds: float
    status: int
    failed: bool
    marks: str = ""


class Shop:
    """A lab, and how to read each quantity of it.

    Attributes:
        looks: every request for a product so far.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._http = httpx.Client(trust_env=False, timeout=8.0, limits=httpx.Limits(max_keepalive_connections=0))
        self._threads = ThreadPoolExecutor(_LOOKS)
        self._numbers = itertools.count()
        self._tap = lab.tap_events()
        self.looks: list[Look] = []
        self._preparations: dict[Quantity, Callable[[], Read]] = {
            contract.TIME_OF_LOOKS: lambda: lambda: min(look.seconds for look in self._look(5)),
            contract.FAILED_LOOKS: lambda: lambda: statistics.mean(look.failed for look in self._look()),
            contract.SERVER_ERRORS: lambda: self._server_errors,
            contract.REFUSED_READINESS: lambda: lambda: float(self._get("products", "/ready").status_code == 503),
            contract.REFUSED_TOKENS: self._refused_tokens,
            contract.TIME_OF_LOG_INS: lambda: self._guessing(lambda: self._guess()[0]),
            contract.CHECKED_GUESSES: lambda: self._guessing(lambda: statistics.mean(self._guess()[1] for _ in "123")),
            contract.CPU: lambda: lambda: self._products().cpu_percent(0.3) / 100,
            contract.MEMORY: lambda: self._growth(lambda process: process.memory_info().rss),
            contract.OPEN_FILES: lambda: self._growth(lambda process: process.num_fds()),
            contract.STALL: lambda: self._stall,
            contract.POOL: lambda: lambda: self.metric("products", "db_pool_in_use") / self._pool_size(),
            contract.KILLED_SESSIONS: lambda: self._killed_in_a_moment,
            contract.LAG: lambda: self._lag,
            contract.OUTBOX: lambda: self._outbox,
            contract.END_TO_END: lambda: self._end_to_end,
            contract.IGNORED: lambda: lambda: self._outcomes_of_one("ignored"),
            contract.DEAD_LETTERS: lambda: lambda: self._outcomes_of_one("dead_letter"),
        }

    @property
    def quantities(self) -> set[Quantity]:
        """What can be read."""
        return set(self._preparations)

    def reader(self, quantity: Quantity) -> Read:
        """Return what reads a quantity, after bringing the shop to where it can be read."""
        return self._preparations[quantity]()

    def metric(self, service: str, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels."""
        families = text_string_to_metric_families(self._get(service, "/metrics").text)
        samples = (sample for family in families for sample in family.samples)
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    def counted_hits(self, fault_id: str) -> float:
        """Return what the metrics of all processes say about one fault."""
        return sum(
            self.metric(name, "chaos_faults_injected_total", fault_id=fault_id) for name in self.lab.service_urls
        )

    def published_hits(self, fault_id: str) -> int:
        """Return what the events say about one fault that has ended, once they have arrived."""
        until(lambda: self._cleared(fault_id), 10.0)
        (cleared,) = self._cleared(fault_id)
        hits = sum(event.count for event in self._tap.events("chaos.injected") if event.fault_id == fault_id)
        assert cleared.injected_count == hits
        return hits

    def _cleared(self, fault_id: str) -> list[ChaosCleared]:
        return [event for event in self._tap.events("chaos.cleared") if event.fault_id == fault_id]

    def close(self) -> None:
        """Let go of threads and connections."""
        self._tap.close()
        self._threads.shutdown()
        self._http.close()

    def _get(self, service: str, path: str, **headers: str) -> httpx.Response:
        return self._http.get(self.lab.urls[service] + path, headers=headers)

    def _look(self, count: int = _LOOKS) -> list[Look]:
        """Look at a product so many times at once."""
        looks = list(self._threads.map(self._look_once, [next(self._numbers) for _ in range(count)]))
        self.looks.extend(looks)
        return looks

    def _look_once(self, number: int) -> Look:
        begun = time.monotonic()
        headers = {"x-cloudcart-request-key": f"contract/{number}/1"}  # so that the seed alone says which are hit
        try:
            answer = self._http.get(f"{self.lab.urls['products']}/products/1", headers=headers, timeout=_PATIENCE)
        except httpx.TransportError:
            return Look(time.monotonic() - begun, 0, failed=True)
        marks = answer.headers.get("x-cloudcart-fault", "")
        failed = answer.status_code >= 400 or not is_json(answer)
        return Look(time.monotonic() - begun, answer.status_code, failed=failed, marks=marks)

    def _server_errors(self) -> float:
        """Look until each look is answered, which takes a moment while the service is started."""
        end = time.monotonic() + _START
        looks = self._look()
        while not all(look.status for look in looks) and time.monotonic() < end:
            looks = self._look()
        return statistics.mean(look.status == 500 for look in looks)

    def _refused_tokens(self) -> Read:
        bearer = f"Bearer {self.lab.token('demo')}"
        return lambda: float(self._get("orders", "/orders/my-orders", authorization=bearer).status_code == 401)

    def _guess(self) -> tuple[float, bool]:
        """Log in with a wrong password; return how long that took and whether the password was looked at at all."""
        login = {"username": "nobody", "password": "a wrong password"}
        answer = self._http.post(f"{self.lab.urls['users']}/auth/login", json=login)
        return answer.elapsed.total_seconds(), answer.status_code != 429

    def _guessing(self, read: Read) -> Read:
        until(lambda: not self._guess()[1], 10.0)
        return read

    def _products(self) -> psutil.Process:
        return psutil.Process(self.lab.pids["products"])

    def _growth(self, of: Callable[[psutil.Process], float]) -> Read:
        before = of(self._products())
        return lambda: of(self._products()) - before

    def _stall(self) -> float:
        end = time.monotonic() + _WINDOW
        longest = 0.0
        while time.monotonic() < end:
            longest = max(longest, self._get("products", "/health").elapsed.total_seconds())
        return longest

    def _pool_size(self) -> float:
        return self.metric("products", "db_pool_size")

    def _killed_in_a_moment(self) -> float:
        before = self._killed_sessions()
        self._look()
        return wait_for_more(self._killed_sessions, before, _STATISTICS) - before

    def _killed_sessions(self) -> float:
        with psycopg.connect(self.lab.database_url, autocommit=True) as connection:
            row = connection.execute("SELECT sum(sessions_killed)::int FROM pg_stat_database").fetchone()
        assert row is not None
        return float(row[0])

    def register(self) -> None:
        """Make an event: user.created."""
        name = f"contract{next(self._numbers)}"
        document = {"username": name, "email": f"{name}@example.com", "password": "long enough 1"}
        self._http.post(f"{self.lab.urls['users']}/auth/register", json=document).raise_for_status()

    def outcome(self, outcome: str) -> float:
        """Return how many registrations the worker has met with this outcome."""
        return self.metric("notifications", "kafka_events_consumed_total", topic="user.created", outcome=outcome)

    def _lag(self) -> float:
        handled = self.outcome("handled")
        self.register()
        wait_for_more(lambda: self.outcome("handled"), handled, _HANDLED)
        return self.metric("notifications", "kafka_consumergroup_lag", topic="user.created")

    def _outbox(self) -> float:
        self.register()
        return -wait_for_more(lambda: -self.metric("users", "outbox_pending"), -1.0, _HANDLED)

    def _end_to_end(self) -> float:
        before = self._arrivals()
        self.register()
        wait_for_more(lambda: self._arrivals()[1], before[1], _LATEST)
        after = self._arrivals()
        return (after[0] - before[0]) / (after[1] - before[1])

    def _arrivals(self) -> tuple[float, float]:
        total, count = (self.metric("notifications", f"event_end_to_end_seconds_{part}") for part in ("sum", "count"))
        return total, count

    def _outcomes_of_one(self, outcome: str) -> float:
        """Return by how much an outcome grows when somebody registers, before that is handled or in the next batch."""
        before, handled = self.outcome(outcome), self.outcome("handled")
        self.register()
        wait_for_more(lambda: self.outcome("handled"), handled, _LATEST)
        return wait_for_more(lambda: self.outcome(outcome), before, _HANDLED) - before


def is_json(answer: httpx.Response) -> bool:
    """Return whether an answer can be read."""
    try:
        return bool(answer.json())
    except ValueError:
        return False


def wait_for_more(read: Read, before: float, patience: float) -> float:
    """Return what is read as soon as it is more than ``before``, or what it is after ``patience`` seconds."""
    end = time.monotonic() + patience
    while (value := read()) <= before and time.monotonic() < end:
        time.sleep(0.01)
    return value


def until(condition: Callable[[], object], patience: float) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not so within {patience:g} s"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def shop(state: object) -> Iterator[Shop]:
    """A shop whose links go through the fault proxy, once its worker consumes."""
    overrides = {"chaos.links": "on", "gateway.rate_limit": "off"}
    with start(BACKEND, name="contracts", overrides=overrides, prometheus=False) as lab:
        shop = Shop(lab)
        shop.register()
        until(lambda: shop.outcome("handled") > 0, 20.0)
        yield shop
        shop.close()
