"""The fault proxy of a running lab: errors as the shopper sees them, ends, refusals. (Kinds: ``contracts``.)"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from cloudcart.exceptions import FaultError
from cloudcart.faults import FAULTS
from cloudcart.lab import Lab, start


@pytest.fixture(scope="module")
def linked(state) -> Iterator[Lab]:
    """A lab whose links go through the fault proxy."""
    overrides = {
        "chaos.links": "on",
        "gateway.cache": "off",
        "gateway.rate_limit": "off",
    }  # tests look as fast as they can
    with start(name="linked", overrides=overrides, prometheus=False) as running:
        yield running


@pytest.fixture
def look(linked) -> Iterator:
    """Ask for a product by the gateway; return status and seconds."""
    with httpx.Client(base_url=linked.urls["gateway"], trust_env=False, timeout=10) as client:

        def ask() -> tuple[int, float]:
            begun = time.monotonic()
            return client.get("/api/products/1").status_code, time.monotonic() - begun

        linked.heal()
        linked.reset()
        yield ask
        linked.heal()


def recovers(look, wait_for) -> None:
    wait_for(lambda: look()[0] == 200, 12.0)  # a session that the fault left silent is given up after 6 s


def test_the_proxy_is_a_process_of_the_lab(linked, alive):
    assert alive(linked.pids["links"])
    assert {target["service"] for target in linked.chaos.targets()} > {"links", "gateway"}


@pytest.mark.parametrize("target", ["products->postgres", "gateway->products"])
def test_down_is_seen_as_errors_until_the_heal(linked, look, wait_for, target):
    recovers(look, wait_for)
    with linked.inject("link_down", target=target, ttl="20s") as fault:
        wait_for(lambda: look()[0] >= 500, timeout=FAULTS["link_down"].contract.shows_within)
        assert [look()[0] >= 500 for _ in range(5)] == [True] * 5
    recovers(look, wait_for)
    assert fault.drawn >= fault.injected >= 1


def test_the_time_to_live_ends_it_without_anybody(linked, look, wait_for):
    recovers(look, wait_for)
    linked.inject("link_down", target="products->postgres", ttl="2s")
    wait_for(lambda: look()[0] >= 500)
    recovers(look, wait_for)


def test_a_proxy_that_dies_is_replaced_and_faults_go_on(linked, look, wait_for):
    recovers(look, wait_for)
    before = linked.pids["links"]
    with linked.inject("link_down", target="products->postgres", ttl="20s"):
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: linked.control("status")["pids"].get("links", before) != before)
        wait_for(lambda: look()[0] >= 500)
    recovers(look, wait_for)


def test_what_cannot_act_is_refused(linked):
    with pytest.raises(FaultError, match=r"choose one of gateway->notifications.*users->redis"):
        linked.inject("link_down", target="orders->redis")
    with pytest.raises(FaultError, match="tells its own port to its clients"):
        linked.inject("link_down", target="orders->kafka")
    with pytest.raises(FaultError, match="there is no 'links' to aim at"):
        linked.inject("error", target="links")


def test_a_lab_without_the_proxy_says_how_to_get_it(lab):
    with pytest.raises(FaultError, match=r"--set chaos\.links=on"):
        lab.inject("link_down", target="products->postgres")
