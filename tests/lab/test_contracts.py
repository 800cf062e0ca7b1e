"""What each kind of fault promises, measured on a running shop: it shows in time, is counted, and clears in time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

from cloudcart.exceptions import FaultError
from cloudcart.faults import FAULTS
from cloudcart.lab import Lab

Moved = Callable[[], bool]
"""Returns whether the signal is as the fault makes it."""

MIB = 2**20


def get(lab: Lab, path: str = "/products/1", *, patience: float = 5.0) -> httpx.Response:
    return httpx.get(lab.urls["products"] + path, timeout=patience, trust_env=False)


def slower_than(seconds: float) -> Callable[[Lab], Moved]:
    return lambda lab: lambda: get(lab).elapsed.total_seconds() > seconds


def answers(status: int, path: str = "/products/1") -> Callable[[Lab], Moved]:
    return lambda lab: lambda: get(lab, path).status_code == status


def is_silent(lab: Lab) -> Moved:
    def moved() -> bool:
        try:
            get(lab, patience=0.3)
        except httpx.TransportError:
            return True
        return False

    return moved


def is_unreadable(lab: Lab) -> Moved:
    def moved() -> bool:
        try:
            get(lab).json()
        except ValueError:
            return True
        return False

    return moved


def burns(lab: Lab) -> Moved:
    process = psutil.Process(lab.pids["products"])
    return lambda: process.cpu_percent(0.3) > 15  # % of a core, of which a busy machine may give no more; at rest 2


def has_grown(lab: Lab) -> Moved:
    process = psutil.Process(lab.pids["products"])
    before = process.memory_info().rss
    return lambda: process.memory_info().rss > before + 15 * MIB


def holds_files(lab: Lab) -> Moved:
    process = psutil.Process(lab.pids["products"])
    before = process.num_fds()
    return lambda: process.num_fds() > before + 15


def stalls(lab: Lab) -> Moved:
    def moved() -> bool:
        until = time.monotonic() + 0.6
        longest = 0.0
        while time.monotonic() < until:
            longest = max(longest, get(lab, "/health").elapsed.total_seconds())
        return longest > 0.15

    return moved


def refuses_good_tokens(lab: Lab) -> Moved:
    url, headers = lab.urls["orders"] + "/orders/my-orders", {"authorization": f"Bearer {lab.token('demo')}"}
    return lambda: httpx.get(url, headers=headers, trust_env=False).status_code == 401


CONTRACTS: dict[str, tuple[dict[str, Any], Callable[[Lab], Moved]]] = {
    "latency": ({"fixed": "200ms"}, slower_than(0.19)),
    "error": ({"status": 503}, answers(503)),
    "timeout": ({"after": "100ms"}, answers(504)),
    "reset": ({}, is_silent),
    "slow_body": ({"rate": "500B"}, slower_than(0.15)),
    "corrupt": ({}, is_unreadable),
    "quota": ({"requests": 3}, answers(429)),
    "pause": ({}, is_silent),
    "kill": ({"down": "20s"}, is_silent),
    "cpu_burn": ({"cores": 1}, burns),
    "memory_leak": ({"rate": "50MiB", "limit": "60MiB"}, has_grown),
    "loop_block": ({"block": "250ms", "every": "400ms"}, stalls),
    "fd_leak": ({"rate": 100}, holds_files),
    "clock_skew": ({"by": "30h", "target": "orders"}, refuses_good_tokens),
    "failed_readiness": ({}, answers(503, "/ready")),
}


def within(seconds: float, condition: Moved) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("kind", sorted(CONTRACTS))
def test_the_signal_moves_and_comes_back(lab: Lab, kind: str) -> None:
    parameters, signal_of = CONTRACTS[kind]
    contract = FAULTS[kind].contract
    lab.reset()
    moved = signal_of(lab)
    assert not moved(), "the signal was not at rest"
    with lab.inject(kind, **{"target": "products", "ttl": "30s", **parameters}) as fault:
        assert within(contract.shows_within, moved), f"{contract.change}: not within {contract.shows_within} s"
    assert within(contract.clears_within, lambda: not moved()), f"not back within {contract.clears_within} s"
    ended = lab.chaos.fault(fault.id)
    assert ended["state"] == "healed"
    assert ended["drawn"] >= ended["injected"] >= 1
    lab.wait_ready()


@pytest.mark.parametrize("kind", ["reset", "error", "corrupt"])
def test_on_calls_the_caller_sees_it_and_the_called_service_does_not(lab: Lab, kind: str) -> None:
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
        assert within(FAULTS[kind].contract.shows_within, moved)
        assert get(lab).json()
    assert fault.injected >= 1
    back = lab.settings.gateway.breaker_reset + FAULTS[kind].contract.clears_within
    assert within(back, lambda: not moved())


def test_metric_and_events_agree_about_a_process_fault(lab: Lab) -> None:
    lab.reset()
    with lab.tap_events() as tap:
        with lab.inject("pause", target="products", ttl="10s") as fault:
            metrics = httpx.get(lab.urls["chaos"] + "/metrics", trust_env=False).text
            assert 'chaos_faults_active{kind="pause",target="products"} 1.0' in metrics
        (cleared,) = tap.wait_for("chaos.cleared")
        injected = tap.wait_for("chaos.injected")
    assert cleared.fault_id == fault.id
    assert cleared.injected_count == sum(event.count for event in injected) == fault.injected
    metrics = httpx.get(lab.urls["chaos"] + "/metrics", trust_env=False).text
    assert f'chaos_faults_injected_total{{fault_id="{fault.id}",kind="pause"}} {fault.injected}' in metrics


def test_a_pause_ends_with_its_time_to_live(lab: Lab) -> None:
    lab.reset()
    silent = is_silent(lab)
    fault = lab.chaos.inject({"kind": "pause", "target": "products", "ttl": "700ms"})
    assert silent()
    assert within(2, lambda: not silent())
    assert lab.chaos.fault(fault["id"])["state"] == "expired"


def test_a_paused_service_goes_on_when_the_control_plane_is_stuck(lab: Lab) -> None:
    lab.reset()
    lab.inject("pause", target="products", ttl="60s")
    silent = is_silent(lab)
    lab.control("pause", service="chaos")
    try:
        assert silent()
        assert within(lab.settings.chaos.lease + 2, lambda: not silent()), "the supervisor did not let it go on"
    finally:
        lab.control("resume", service="chaos")
    lab.heal()


def test_a_paused_service_goes_on_when_the_control_plane_dies(lab: Lab) -> None:
    lab.reset()
    silent = is_silent(lab)
    lab.inject("pause", target="products", ttl="60s")
    os.kill(lab.pids["chaos"], signal.SIGKILL)
    assert within(lab.settings.chaos.lease + 2, lambda: not silent())
    lab.wait_ready()


def test_reset_heals_what_keeps_a_service_from_being_ready(lab: Lab) -> None:
    lab.inject("pause", target="orders", ttl="60s")
    lab.reset()
    assert lab.status().ready


def test_what_cannot_be_done_is_refused_with_a_sentence(lab: Lab) -> None:
    with pytest.raises(FaultError, match="nothing could heal pause on it"):
        lab.inject("pause", target="chaos")
