"""The rate limit of a running shop: so many requests a client and window, then 429 with the time to wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloudcart.lab import Lab

LIMIT = 20
WINDOW = 60.0


@pytest.fixture(scope="module", autouse=True)
def _limited(lab: Lab, wait_for: Callable[[Callable[[], object]], None]) -> Iterator[None]:
    """The shop's gateway with a limit, while these tests run."""

    def restart(**switches: object) -> None:
        before = lab.status().services["gateway"].restarts
        lab.control(
            "restart", service="gateway", overrides={f"gateway.{name}": each for name, each in switches.items()}
        )
        wait_for(lambda: lab.status().services["gateway"].restarts > before)
        lab.wait_ready()

    restart(rate_limit="on", rate_limit_requests=LIMIT)
    yield
    restart(rate_limit="off")


def test_a_crowd_of_requests_gets_exactly_the_limit(user, is_problem):
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: user("GET", "/orders/my-orders"), range(2 * LIMIT)))
    assert Counter(answer.status_code for answer in answers) == {200: LIMIT, 429: LIMIT}
    refused = user("GET", "/products")
    assert is_problem(refused, 429)
    # A window that is used up has to slide by, and one more request's share of it.
    assert 1 <= int(refused.headers["retry-after"]) <= WINDOW * (1 + 1 / LIMIT)


def test_others_are_not_limited_by_it(user, new_user):
    other = new_user()
    for _ in range(LIMIT + 1):
        last = user("GET", "/orders/my-orders")
    assert last.status_code == 429
    assert other("GET", "/orders/my-orders").status_code == 200


def test_a_refusal_has_no_effect_and_is_told(lab, user, wait_for):
    with lab.tap_events() as tap:
        body = {"items": [{"product_id": 1, "quantity": 1}]}
        accepted = sum(user("POST", "/orders", json=body).status_code == 201 for _ in range(LIMIT + 5))
        assert accepted == LIMIT
        mine = f"user:{user.user_id}"
        wait_for(lambda: sum(each.count for each in tap.events("api.rate_limited") if each.client == mine) == 5)
