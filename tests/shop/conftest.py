"""A whole shop for tests of its contract: one lab for the folder, called through its gateway as a client would."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloudcart.lab import Lab, start
from cloudcart.lab.directory import STATE_DIR

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Caller:
    """Somebody who calls the shop through its gateway; ``user_id`` is 0 for nobody."""

    client: httpx.Client
    token: str = ""
    user_id: int = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def __call__(self, method: str, path: str, headers: dict[str, str] | None = None, **request: Any) -> httpx.Response:
        """Send a request; ``path`` is what follows ``/api``."""
        return self.client.request(method, f"/api{path}", headers={**self.headers, **(headers or {})}, **request)

    def stream_status(self, path: str) -> int:
        """Return the status of a stream that never ends."""
        with self.client.stream("GET", f"/api{path}", headers=self.headers) as answer:
            return answer.status_code

    def order(self, product_id: int = 1, quantity: int = 1, **headers: str) -> dict[str, Any]:
        """Place an order that must succeed."""
        answer = self("POST", "/orders", headers, json={"items": [{"product_id": product_id, "quantity": quantity}]})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


@pytest.fixture(scope="package")
def lab(short_directory: Path) -> Iterator[Lab]:
    """A shop without a rate limit; tests leave it whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_DIR, str(short_directory / "shops"))
        overrides = {"gateway.rate_limit": "off", "auth.bcrypt_rounds": 4}  # a hash is not what these tests are about
        with start(name="shop", prometheus=False, overrides=overrides) as running:
            yield running


@pytest.fixture(scope="package")
def client(lab: Lab) -> Iterator[httpx.Client]:
    """Connections to the gateway."""
    with httpx.Client(base_url=lab.urls["gateway"], timeout=30, trust_env=False) as connected:
        yield connected


@pytest.fixture(scope="package")
def nobody(client: httpx.Client) -> Caller:
    return Caller(client)


@pytest.fixture(scope="package")
def new_users(lab: Lab, client: httpx.Client) -> Callable[[int], list[Caller]]:
    """Return a function that makes shoppers who are logged in."""
    return lambda count: [Caller(client, user.token, user.user_id) for user in lab.prepare_users(count)]


@pytest.fixture(scope="package")
def new_user(new_users: Callable[[int], list[Caller]]) -> Callable[[], Caller]:
    """Return a function that makes one of them."""
    return lambda: new_users(1)[0]


@pytest.fixture
def user(new_user: Callable[[], Caller]) -> Caller:
    return new_user()


@pytest.fixture(scope="package")
def admin(lab: Lab, client: httpx.Client) -> Caller:
    return Caller(client, lab.token("admin"), 1)


@pytest.fixture(scope="package")
def registration() -> Callable[[], dict[str, str]]:
    """Return a function that gives the body of a registration, a new one each time."""

    def make() -> dict[str, str]:
        name = f"shopper{next(_numbers)}"
        return {"username": name, "email": f"{name}@example.com", "password": "a long enough password"}

    return make


@pytest.fixture(scope="package")
def new_product(admin: Caller) -> Callable[..., dict[str, Any]]:
    """Return a function that adds a product."""

    def make(stock: int = 100, price: float = 2.5) -> dict[str, Any]:
        body = {"name": f"thing {next(_numbers)}", "price": price, "stock": stock, "category": "things"}
        answer = admin("POST", "/products", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    return make


@pytest.fixture(scope="package")
def is_problem() -> Callable[[httpx.Response, int], bool]:
    """Whether an answer is a problem document (RFC 9457) with this status."""

    def check(answer: httpx.Response, status: int) -> bool:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert document["status"] == status
        assert document["title"]
        return bool(document["error"]) and document["error"] == document["detail"]

    return check
