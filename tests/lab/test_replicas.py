"""A lab whose product service has two processes: each with its name, port, log, faults and counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from cloudcart.exceptions import UnsupportedError, UsageError
from cloudcart.faults import parse_fault
from cloudcart.lab import Lab, start
from cloudcart.signals import PrometheusSource, Window

BOTH = ("products", "products/1")


@pytest.fixture(scope="module")
def twofold(state: Any) -> Iterator[Lab]:
    """The lab. Nothing is cached, limited or ejected, so each request reaches the replica whose turn it is."""
    overrides = {"products.replicas": 2} | dict.fromkeys(
        ("gateway.cache", "gateway.rate_limit", "gateway.outlier_ejection"), "off"
    )
    with start(name="twofold", overrides=overrides) as running:
        yield running


def look(lab: Lab, process: str, patience: float = 5.0) -> int:
    """Return the status with which a process shows a product; 0: nobody answered in time."""
    try:
        return httpx.get(f"{lab.urls[process]}/products/1", timeout=patience, trust_env=False).status_code
    except httpx.TransportError:
        return 0


def looks(lab: Lab, patience: float = 5.0) -> tuple[int, ...]:
    return tuple(look(lab, process, patience) for process in BOTH)


def visit(lab: Lab, times: int) -> list[float]:
    """Ask the gateway for a product and return how long each answer took."""
    with httpx.Client(base_url=lab.urls["gateway"], trust_env=False, timeout=10) as client:
        taken = []
        for _ in range(times):
            begun = time.monotonic()
            assert client.get("/api/products/1").status_code == 200
            taken.append(time.monotonic() - begun)
        return taken


def test_each_is_a_process_that_is_told_apart(twofold: Lab, alive: Callable[[int], bool]) -> None:
    assert len({twofold.pids[process] for process in BOTH}) == 2
    assert all(alive(twofold.pids[process]) for process in BOTH)
    assert {*twofold.status().services} > {*BOTH}
    assert twofold.urls["products"] != twofold.urls["products/1"]
    assert {(target["service"], target["replica"]) for target in twofold.chaos.targets()} >= {
        ("products", 0),
        ("products", 1),
    }
    assert (twofold.directory / "logs" / "products-1.log").exists()


def test_the_signals_of_the_service_are_those_of_both(twofold: Lab) -> None:
    twofold.mark()
    began = time.time()
    visit(twofold, 20)
    window = Window(began, time.time())
    signals = twofold.signals(window)
    assert signals.traffic("products").requests == 20
    assert [signals.traffic(f"products/{number}").requests for number in (0, 1)] == [10, 10]
    assert signals.latency("products", route="GET /api/products/{id}").samples == 20


def test_prometheus_says_the_same(twofold: Lab, wait_for: Callable[..., float]) -> None:
    if "prometheus" not in twofold.urls:
        pytest.skip("there is no prometheus binary on the PATH")
    with closing(PrometheusSource(twofold.urls["prometheus"])) as source:

        def counted(began: float, service: str) -> int:
            return source.read("traffic", Window(began, time.time()), service=service).samples

        def is_quiet() -> bool:
            reading = source.read("traffic", Window(time.time() - 3, time.time()), service="products")
            return reading.value == 0

        wait_for(is_quiet, 20)
        began = time.time()
        visit(twofold, 20)
        wait_for(lambda: counted(began, "products") == 20, 10)
        assert [counted(began, f"products/{number}") for number in (0, 1)] == [10, 10]


def test_the_order_service_takes_them_in_turn_too(twofold: Lab) -> None:
    twofold.mark()
    began = time.time()
    headers = {"authorization": f"Bearer {twofold.token('demo')}"}
    document = {"items": [{"product_id": 1, "quantity": 1}]}
    with httpx.Client(base_url=twofold.urls["gateway"], headers=headers, trust_env=False, timeout=10) as client:
        for _ in range(6):
            client.post("/api/orders", json=document).raise_for_status()
    signals = twofold.signals(Window(began, time.time()))
    lookups = [
        signals.traffic(f"products/{number}", route="POST /internal/products/lookup").requests for number in (0, 1)
    ]
    assert lookups == [3, 3]


def test_a_fault_slows_the_replica_that_it_names_and_no_other(twofold: Lab) -> None:
    with twofold.inject("latency", target="products", replica=1, fixed="300ms", ttl="20s") as fault:
        taken = visit(twofold, 10)
    assert sum(seconds > 0.3 for seconds in taken) == fault.injected == 5
    assert fault.fault.label == "+300ms on replica 1 of products"


@pytest.mark.parametrize(("kind", "parameters"), [("pause", {}), ("kill", {"down": "10s"})])
@pytest.mark.parametrize(
    ("replica", "there"), [({"replica": 0}, (False, True)), ({"replica": 1}, (True, False)), ({}, (False, False))]
)
def test_process_faults_act_on_one_or_on_all(
    twofold: Lab, wait_for: Callable[..., float], kind: str, parameters: Any, replica: Any, there: Any
) -> None:
    with twofold.inject(kind, target="products", ttl="15s", **parameters, **replica) as fault:
        wait_for(lambda: tuple(map(bool, looks(twofold, 0.3))) == there)
        assert fault.injected == 1
    wait_for(lambda: looks(twofold) == (200, 200), 10)


def test_a_release_can_be_bad_on_one_of_them(twofold: Lab, wait_for: Callable[..., float]) -> None:
    with twofold.inject("bad_deploy", target="products", replica=1, share=1.0, ttl="20s"):
        wait_for(lambda: looks(twofold) == (200, 500), 10)
    wait_for(lambda: looks(twofold) == (200, 200), 10)


def test_a_killed_replica_is_started_again_on_its_port(twofold: Lab, wait_for: Callable[..., float]) -> None:
    before = twofold.pids
    twofold.control("kill", service="products/1")
    wait_for(lambda: twofold.pids.get("products/1") not in (None, before["products/1"]))
    twofold.wait_ready()
    assert look(twofold, "products/1") == 200
    assert twofold.pids["products"] == before["products"]


def test_a_reset_and_the_invariants_hold_with_two(twofold: Lab) -> None:
    twofold.reset()
    with twofold.tap_events() as tap:
        headers = {"authorization": f"Bearer {twofold.token('demo')}"}
        with httpx.Client(base_url=twofold.urls["gateway"], headers=headers, trust_env=False, timeout=10) as client:
            for _ in range(4):
                order = client.post("/api/orders", json={"items": [{"product_id": 1, "quantity": 1}]}).json()
                paid = client.post(f"/api/orders/{order['id']}/pay", json={"payment_method": "card"})
                assert paid.status_code == 200, paid.text
            assert client.get("/api/products/1").json()["stock"] == 9_996
        assert {result.verdict for result in twofold.check_invariants(tap)} == {"pass"}


def test_replicas_that_are_not_there_are_refused(twofold: Lab, lab: Lab) -> None:
    fault = {"kind": "latency", "target": "products", "fixed": "1ms"}
    twofold.require([parse_fault({**fault, "replica": 1})])
    with pytest.raises(UnsupportedError, match=r"replica 1 of products, .* 1 here; --set products\.replicas=2 does"):
        lab.require([parse_fault({**fault, "replica": 1})])
    with pytest.raises(
        UsageError, match="there is no 'products/2'; choose one of gateway, users, products, products/1"
    ):
        twofold.control("kill", service="products/2")


def test_another_lab_can_be_told_of_them(twofold: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from cloudcart.cli.lab_view import environment_lines

    for line in environment_lines(twofold):
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value.strip("'"))
    with start("external") as external:
        assert external.urls["products/1"] == twofold.urls["products/1"]
        assert external.status().ready
        external.reset()


def test_links_lead_to_each_of_them(state: Any, wait_for: Callable[..., float]) -> None:
    overrides = {"products.replicas": 2, "chaos.links": "on", "gateway.cache": "off", "gateway.outlier_ejection": "off"}
    with start(name="linked2", overrides=overrides, prometheus=False) as linked:
        linked.mark()
        began = time.time()
        visit(linked, 10)
        signals = linked.signals(Window(began, time.time()))
        assert signals.traffic("products").requests == 2 * signals.traffic("products/1").requests == 10
        with linked.inject("link_latency", target="gateway->products", latency="200ms", ttl="20s"):
            assert min(visit(linked, 4)) > 0.2
