"""What every journey inherits: a Locust user whose requests carry a key, are timed and leave a row.

A journey is one class in a file of its own in ``loadtests/``; it says in :meth:`Journey.visit` what one visitor does.
It runs with plain ``locust -f loadtests/checkout.py --host ..`` (Locust's own loop and statistics, no rows) and in our
generator, which hands in a :class:`Supplies`. Importing this module imports Locust, which patches the process.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import gevent
from locust import FastHttpUser, constant_pacing, task
from locust.exception import RescheduleTask

from cloudcart.exceptions import LoadError
from cloudcart.load.rows import Row
from cloudcart.load.transport import NOTHING, Answer, OneAttemptPool, read_answer, why_no_answer

T = TypeVar("T")

ADMIN_PASSWORD: Final = "CLOUDCART_AUTH__ADMIN_PASSWORD"  # noqa: S105  # a name, not a password
"""The environment variable that sets the shop's admin password, read under plain Locust."""

UNANSWERED: Final = "unanswered when the load ended"
"""Why a request has no answer that was still under way when the generator had to end."""

_ANY_STATUS: Final = frozenset(range(100, 1000))


class Account(NamedTuple):
    """A registered user and a token that is valid for longer than any run."""

    user_id: int
    username: str
    token: str


def wall_clock() -> Callable[[], float]:
    """Return a clock of unix seconds that is read from the wall once and never jumps afterwards."""
    anchor = time.time() - time.perf_counter()
    return lambda: anchor + time.perf_counter()


@dataclass
class Supplies:
    """What the generator gives to a journey; the defaults are for plain Locust: no accounts, no rows.

    ``record`` gets every row; ``refused`` is told of refusals that no step expects; ``numbers`` numbers the visits of
    the closed model; ``timeout`` is how many seconds a visitor waits for one answer.
    """

    record: Callable[[Row], None] = lambda _row: None
    refused: Callable[[str], None] = lambda _what: None
    accounts: Sequence[Account] = ()
    admin_token: str = ""
    seed: int = 0
    timeout: float = 10.0
    clock: Callable[[], float] = field(default_factory=wall_clock)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    spare: Iterator[int] = field(default_factory=itertools.count)
    trace_ids: random.Random = field(default_factory=lambda: random.Random(secrets.randbits(64)))


class Journey(FastHttpUser):  # type: ignore[misc]  # Locust has no types
    """One kind of visitor. Subclasses write :meth:`visit`; the class's name in lower case is the journey's name."""

    abstract = True
    wait_time = constant_pacing(1.0)
    """In Locust's own loop: a visit a second for each user, unless visits take longer."""

    max_redirects = 0  # a redirect is an answer like any other, and load never follows one to another host
    needs_account: ClassVar[bool] = True
    """Requests carry the token of a registered user."""

    needs_admin: ClassVar[bool] = False
    """Requests carry the admin's token."""

    keeps_cookies: ClassVar[bool] = False
    """Looking after cookies costs a quarter of what a generator can give; the shop has none."""

    supplies: ClassVar[Supplies] = Supplies()

    def __init__(self, environment: Any) -> None:
        self.client_pool = OneAttemptPool(
            connection_timeout=self.supplies.timeout,
            network_timeout=self.supplies.timeout,
            concurrency=self.concurrency,
        )
        super().__init__(environment)
        self.client.client.valid_response_codes = _ANY_STATUS  # which answers are errors is decided in call()
        if not self.keeps_cookies:
            self.client.client.cookiejar = None
        self.account: Account | None = None
        self.arrival = 0
        self._step = 0
        self._due = 0.0
        self._closed_loop = True

    @property
    def journey_name(self) -> str:
        """The journey's name in rows and request keys."""
        return type(self).__name__.lower()

    def visit(self) -> None:
        """Do what one visitor does, from arrival to leaving, by :meth:`call`. To be written by the subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no visit() method")

    # What a visit is made of

    def call(
        self,
        method: str,
        path: str,
        *,
        name: str,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        refusals: Collection[int] = (),
    ) -> Answer:
        """Send one request and return its answer.

        The visit ends here, quietly, when there is no answer or the answer is 400 or above and not in ``refusals``: a
        visitor who sees an error page leaves.

        Args:
            method: HTTP method.
            path: path and query, beginning with ``/api``.
            name: the route's template, ``/api/products/{id}``; a row's name is method and template.
            json: body, sent as JSON.
            headers: further headers.
            refusals: statuses from 400 on that this step expects and the journey handles.
        """
        self._step += 1
        key = f"{self.journey_name}/{self.arrival}/{self._step}"
        trace_id = f"{self.supplies.trace_ids.getrandbits(128):032x}"
        sent = self.supplies.clock()
        due = sent if self._closed_loop else self._due
        answer, error = NOTHING, UNANSWERED
        try:
            answer, error = self._send(method, path, name, json, self._headers(key, trace_id, headers), refusals)
        except Exception as wrong:  # the journey asked for something that cannot be sent
            error = f"{type(wrong).__name__}: {wrong}"
            raise
        finally:  # also when the generator ends this greenlet: a request that was sent leaves a row
            self._due = done = self.supplies.clock()
            what, faults = f"{method} {name}", answer.marks
            place = (self.journey_name, self.arrival, self._step)
            self.supplies.record(Row(due, sent, done, what, *place, answer.status, error, faults, trace_id, key))
        if answer.ok or answer.status in refusals:
            return answer
        if 400 <= answer.status < 500 and not faults:
            self.supplies.refused(f"{answer.status} {what}")
        raise RescheduleTask  # Locust's own way to end a task

    def choose(self, among: Sequence[T], what: str) -> T:
        """Return one of ``among``; which one depends on nothing but seed, arrival and ``what``."""
        return among[int(self.draw(what) * len(among))]

    def draw(self, what: str) -> float:
        """Return a number from 0 up to 1 that depends on nothing but seed, arrival and ``what``."""
        text = f"{self.supplies.seed}/{self.journey_name}/{self.arrival}/{what}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") >> 11) * 2.0**-53  # the 53 bits that a float in [0, 1) has

    def pause(self, seconds: float) -> None:
        """Let time pass between two steps; it does not count as waiting for an answer, as a bare sleep would."""
        gevent.sleep(seconds)
        self._due = self.supplies.clock()

    # How visits come about

    def on_start(self) -> None:
        """Take a prepared account, or, under plain Locust, get one through the API."""
        accounts = self.supplies.accounts
        if self.needs_admin:
            self.account = Account(0, "admin", self.admin_token())
        elif self.needs_account:
            self.account = accounts[next(self.supplies.spare) % len(accounts)] if accounts else self.register()

    @task  # type: ignore[untyped-decorator]
    def arrive(self) -> None:
        """One visit in Locust's own loop (closed model): it is due when it begins."""
        self.arrival, self._step, self._closed_loop = next(self.supplies.numbers), 0, True
        self.visit()

    def arrive_at(self, due: float, arrival: int) -> None:
        """One visit of the open model, due at ``due`` (unix seconds), with the account that belongs to the arrival."""
        self.arrival, self._step, self._due, self._closed_loop = arrival, 0, due, False
        if self.supplies.accounts and not self.needs_admin:
            self.account = self.supplies.accounts[arrival % len(self.supplies.accounts)]
        self.visit()

    def register(self) -> Account:
        """Register a new user through the API; leaves no row.

        Raises:
            LoadError: the platform refuses.
        """
        name = f"visitor-{secrets.token_hex(6)}"
        user = {"username": name, "email": f"{name}@example.com", "password": secrets.token_urlsafe(12)}
        answer, error = self._send("POST", "/api/auth/register", "/api/auth/register", user, {})
        if answer.status != 201:
            why = error or f"HTTP {answer.status}"
            raise LoadError(f"{self.host} registers no user ({why}); start the shop, or hand in prepared users")
        made = answer.json()
        return Account(made["user"]["id"], name, made["token"])

    def admin_token(self) -> str:
        """Return the token of an administrator, for a step that a shopper may not take.

        Raises:
            LoadError: none was handed in, and the password in the environment is not the admin's.
        """
        if self.supplies.admin_token:
            return self.supplies.admin_token
        password = os.environ.get(ADMIN_PASSWORD, "")
        credentials = {"username": "admin", "password": password}
        answer, error = self._send("POST", "/api/auth/login", "/api/auth/login", credentials, {})
        if answer.status != 200:
            why = error or f"HTTP {answer.status}"
            raise LoadError(f"the admin cannot log in ({why}); set {ADMIN_PASSWORD}, or hand in admin_token")
        return str(answer.json()["token"])

    def _headers(self, key: str, trace_id: str, further: Mapping[str, str] | None) -> dict[str, str]:
        span_id = f"{self.supplies.trace_ids.getrandbits(64):016x}"
        headers = {"X-CloudCart-Request-Key": key, "traceparent": f"00-{trace_id}-{span_id}-01"}
        if self.account is not None:
            headers["Authorization"] = f"Bearer {self.account.token}"
        if further:
            headers.update(further)
        return headers

    def _send(
        self,
        method: str,
        path: str,
        name: str,
        json: Any,
        headers: dict[str, str],
        refusals: Collection[int] = (),
    ) -> tuple[Answer, str]:
        """Return the answer and, if it counts as an error, why. Locust's own statistics hear of it, too."""
        try:
            # The client's own limit is for each read from the socket; a visitor's patience is for the whole answer.
            with gevent.Timeout(self.supplies.timeout):
                response = self.client.request(method, path, name=name, json=json, headers=headers, catch_response=True)
        except gevent.Timeout as expired:
            return NOTHING, why_no_answer(expired, self.supplies.timeout)
        with response:
            answer, error = read_answer(response, self.supplies.timeout)
            if answer.ok or answer.status in refusals:
                response.success()
            else:
                response.failure(error or f"HTTP {answer.status}")
        return answer, error
