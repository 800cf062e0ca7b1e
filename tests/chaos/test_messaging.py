"""Faults on the handling of messages."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.messaging import through_faults
from cloudcart.exceptions import MessageRejectedError
from cloudcart.faults import parse_fault


def consume(count: int = 1, topic: str = "order.created", **document: Any) -> tuple[int, ActiveFaults]:
    """Return how many of ``count`` messages were handled."""
    active = ActiveFaults("notifications", lab=True)
    if document:
        active.add(parse_fault(document), "f")
    handled = 0

    async def handle() -> None:
        nonlocal handled
        handled += 1

    async def all_of_them() -> None:
        for n in range(count):
            try:
                await through_faults(active, topic, f"k{n}", handle)
            except MessageRejectedError:
                continue

    asyncio.run(all_of_them())
    return handled, active


def test_without_faults_messages_are_handled() -> None:
    assert consume(3)[0] == 3


@pytest.mark.parametrize("target", ["kafka:order.created", "notifications"])
def test_an_error_rejects_the_message(target: str) -> None:
    handled, active = consume(200, kind="error", target=target, probability=0.3)
    assert active.counts()["f"] == (200, 200 - handled)
    assert 100 < handled < 180


def test_a_latency_delays_the_handling() -> None:
    begun = time.perf_counter()
    assert consume(2, kind="latency", target="kafka:order.created", fixed="20ms")[0] == 2
    assert time.perf_counter() - begun >= 0.04


@pytest.mark.parametrize("target", ["kafka:user.created", "notifications:/notifications", "orders"])
def test_other_targets_leave_it_alone(target: str) -> None:
    assert consume(2, kind="error", target=target)[0] == 2


def test_what_the_handler_raises_comes_through() -> None:
    async def handle() -> None:
        raise ValueError("poison")

    active = ActiveFaults("notifications", lab=True)
    active.add(parse_fault({"kind": "latency", "target": "notifications", "fixed": "0s"}), "f")
    with pytest.raises(ValueError, match="poison"):
        asyncio.run(through_faults(active, "order.created", "", handle))


@pytest.mark.parametrize("kind", ["reset", "slow_body", "corrupt"])
def test_what_acts_on_answers_leaves_messages_alone(kind: str) -> None:
    handled, active = consume(3, kind=kind, target="notifications")
    assert (handled, active.counts()["f"]) == (3, (0, 0))
