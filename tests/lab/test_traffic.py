"""A lab with synthetic visitors: a process like the others, that buys, errs, and holds still for those who check."""

from __future__ import annotations

import re
from collections import Counter

import httpx
import pytest

from cloudcart.lab import start
from cloudcart.settings import SERVICES

PATIENCE = 60.0  # seconds; on a machine with much else to do


@pytest.fixture(scope="module")
def busy(state):
    """A shop with many visitors."""
    with start(
        name="busy", prometheus=False, traffic=True, overrides={"traffic.rate": 20, "traffic.mistakes": 0.3}
    ) as lab:
        yield lab


def requests_of(lab) -> Counter[str]:
    """Return how many requests visitors have made, by route and status."""
    page = httpx.get(f"{lab.urls['traffic']}/metrics", trust_env=False).text
    found = re.findall(r'traffic_requests_total{method="(\w+)",route="([^"]+)",status="(\d+)"} (\S+)', page)
    return Counter({f"{method} {route} {status}": float(count) for method, route, status, count in found})


def test_visitors_buy_and_err(busy, wait_for):
    assert busy.urls.keys() >= {*SERVICES, "traffic"}
    wait_for(lambda: requests_of(busy)["POST /api/orders/{id}/pay 200"] >= 3, PATIENCE)
    wait_for(lambda: {int(each.rsplit(" ", 1)[1]) for each in requests_of(busy)} >= {200, 201, 404}, PATIENCE)


def test_what_is_checked_does_not_move_meanwhile(busy):
    with busy.tap_events(from_beginning=True) as tap:
        results = busy.check_invariants(tap)
    assert [each for each in results if each.verdict != "pass"] == []


def test_an_experiment_is_told_of_them(busy):
    (reason,) = busy.unsteady()
    assert "without --traffic" in reason


def test_they_go_on_after_a_reset(busy, wait_for):
    busy.reset()
    before = requests_of(busy).total()
    wait_for(lambda: requests_of(busy).total() > before + 10, PATIENCE)


def test_it_is_a_process_like_the_others(busy, wait_for):
    before = busy.status().services["traffic"]
    assert before.ready
    busy.control("kill", service="traffic")
    wait_for(lambda: busy.status().services["traffic"].restarts == before.restarts + 1, PATIENCE)
    wait_for(lambda: busy.status().services["traffic"].ready, PATIENCE)


def test_a_shop_without_them_has_none(lab):
    assert "traffic" not in lab.urls
    assert "traffic" not in lab.status().services
