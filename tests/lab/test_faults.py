"""Faults on a running shop, beyond what their contracts say (``contracts``): calls, ends by themselves, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cloudcart.chaos.matching import user_of
from cloudcart.exceptions import FaultError
from cloudcart.faults import FAULTS
from cloudcart.lab import Lab


def get(lab: Lab, path: str = "/products/1", *, patience: float = 5.0) -> httpx.Response:
    return httpx.get(lab.urls["products"] + path, timeout=patience, trust_env=False)


def status(lab: Lab) -> int:
    """Return the status of a look at a product; 0: nobody answered."""
    try:
        return get(lab).status_code
    except httpx.TransportError:
        return 0


def is_silent(lab: Lab) -> bool:
    try:
        get(lab, patience=0.3)
    except httpx.TransportError:
        return True
    return False


@pytest.mark.parametrize("kind", ["reset", "error", "corrupt"])
def test_on_calls_the_caller_sees_it_and_the_called_service_does_not(
    lab: Lab, kind: str, wait_for: Callable[..., float]
) -> None:
    lab.reset()
    url = lab.urls["gateway"] + "/api/products/1"

    def moved() -> bool:
        answer = httpx.get(url, trust_env=False)
        try:
            return answer.status_code >= 500 or not answer.json()
        except ValueError:
            return True

    assert not moved()
    with lab.inject(kind, target="gateway->products", ttl="20s") as fault:
        wait_for(moved, FAULTS[kind].contract.shows_within)
        assert get(lab).json()
    assert fault.injected >= 1
    wait_for(lambda: not moved(), lab.settings.gateway.breaker_reset + FAULTS[kind].contract.clears_within)


def test_a_fault_for_one_user_holds_on_calls_between_services(lab: Lab) -> None:
    """The order service asks products on behalf of whoever orders; on those calls there is no token of theirs."""
    lab.reset()
    document = {"target": "products:/internal/products/lookup", "user": user_id(lab.token("demo")), "fixed": "1ms"}
    with lab.inject("latency", **document) as fault:
        marks = {login: order(lab, login).headers.get("x-cloudcart-fault") for login in ("demo", "admin")}
    assert (marks, fault.injected) == ({"demo": fault.id, "admin": None}, 1)


def user_id(token: str) -> int | None:
    return user_of([(b"authorization", f"Bearer {token}".encode())])


def order(lab: Lab, login: str) -> httpx.Response:
    bearer = {"authorization": f"Bearer {lab.token(login)}"}
    items = {"items": [{"product_id": 1, "quantity": 1}]}
    answer = httpx.post(f"{lab.urls['gateway']}/api/orders", json=items, headers=bearer, trust_env=False, timeout=10)
    return answer.raise_for_status()


def test_the_same_seed_hits_the_same_requests_over_1_and_over_64_connections(lab: Lab) -> None:
    lab.reset()
    hit = []
    for connections in (1, 64):
        with lab.inject("latency", target="products", min="0ms", max="3ms", probability=0.3, seed=7) as fault:
            hit.append(hit_keys(lab, fault.id, connections))
    assert hit[0] == hit[1]
    assert 60 < len(hit[0]) < 120


def hit_keys(lab: Lab, fault_id: str, connections: int, requests: int = 300) -> set[str]:
    """Return the keys of the requests that a fault hit."""

    async def run() -> set[str]:
        keys, hit = iter([f"browse/{number}/1" for number in range(requests)]), set()
        limits = httpx.Limits(max_connections=connections)
        async with httpx.AsyncClient(base_url=lab.urls["products"], limits=limits, trust_env=False, timeout=20) as http:

            async def connection() -> None:
                for key in keys:
                    answer = await http.get("/products/1", headers={"x-cloudcart-request-key": key})
                    if fault_id in answer.headers.get("x-cloudcart-fault", ""):
                        hit.add(key)

            await asyncio.gather(*(connection() for _ in range(connections)))
        return hit

    return asyncio.run(run())


def test_a_pause_ends_with_its_time_to_live(lab: Lab, wait_for: Callable[..., float]) -> None:
    lab.reset()
    fault = lab.chaos.inject({"kind": "pause", "target": "products", "ttl": "700ms"})
    assert is_silent(lab)
    wait_for(lambda: not is_silent(lab))
    assert lab.chaos.fault(fault["id"])["state"] == "expired"


def test_reset_heals_what_keeps_a_service_from_being_ready(lab: Lab) -> None:
    lab.inject("pause", target="orders", ttl="60s")
    lab.reset()
    assert lab.status().ready


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"kind": "pause", "target": "chaos"}, "nothing could heal pause on it"),
        ({"kind": "bad_deploy", "target": "chaos"}, "nothing could heal bad_deploy on it"),
        ({"kind": "broker_kill", "target": "kafka"}, "broker_kill needs a broker that keeps its messages on disk"),
        ({"kind": "db_lock", "target": "products", "table": "prices"}, "products has no table 'prices'; it has"),
        ({"kind": "db_pool_drain", "target": "gateway"}, "db_pool_drain finds nothing to act on in gateway"),
    ],
)
def test_what_this_shop_cannot_do_is_refused_with_a_sentence(lab: Lab, document: dict[str, Any], sentence: str) -> None:
    lab.reset()
    with pytest.raises(FaultError, match=sentence):
        lab.inject(**document)
    assert not [fault for fault in lab.chaos.faults() if fault["state"] == "active"]


def test_a_bad_deploy_is_seen_as_a_deployment_and_bears_no_mark(lab: Lab, wait_for: Callable[..., float]) -> None:
    lab.reset()
    good = releases(lab)
    with lab.inject("bad_deploy", target="products", share=1, ttl="20s") as fault:
        wait_for(lambda: status(lab) == 500)
        assert "x-cloudcart-fault" not in get(lab).headers
        bad = releases(lab)
        assert bad[0] == good[0] + 1
        assert bad[1] != good[1]
    wait_for(lambda: status(lab) == 200)
    assert releases(lab) == (good[0] + 2, good[1])
    assert fault.injected == 1


def releases(lab: Lab) -> tuple[float, str]:
    """Return how many releases of products were started, and the labels of the present one."""
    lines = get(lab, "/metrics").text.splitlines()
    (count,) = [line.rpartition(" ")[2] for line in lines if line.startswith("cloudcart_deployments_total{")]
    (labels,) = [line.rpartition(" ")[0] for line in lines if line.startswith("cloudcart_build_info{")]
    return float(count), labels
