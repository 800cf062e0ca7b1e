"""Faults on messages on their way to the broker, and on a consumer that is held up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.messaging import may_act_on_publishing, publish_through_faults, through_faults
from cloudcart.faults import parse_fault
from cloudcart.faults.poison_message import POISON


def publish(*documents: dict[str, Any], topic: str = "order.created") -> tuple[bool, list[bytes | None]]:
    """Return whether a message counts as confirmed, and what was sent: None for the message itself."""
    active = ActiveFaults("orders", lab=True)
    for number, document in enumerate(documents):
        active.add(parse_fault(document), f"f{number}")
    sent: list[bytes | None] = []

    async def send(other: bytes | None) -> bool:
        sent.append(other)
        return True

    return asyncio.run(publish_through_faults(active, topic, send)), sent


@pytest.mark.parametrize(
    ("kind", "confirmed", "sent"),
    [
        ("publish_fail", False, []),
        ("publish_delay", True, [None]),
        ("duplicate", True, [None, None]),
        ("poison_message", True, [POISON, None]),
    ],
)
@pytest.mark.parametrize("target", ["orders", "orders->kafka", "kafka:order.created"])
def test_what_is_published(kind: str, target: str, confirmed: bool, sent: list[bytes | None]) -> None:
    delay = {"delay": "1ms"} if kind == "publish_delay" else {}
    assert publish({"kind": kind, "target": target, **delay}) == (confirmed, sent)


def test_faults_act_one_behind_the_other() -> None:
    poison, fail = {"kind": "poison_message", "target": "orders"}, {"kind": "publish_fail", "target": "orders"}
    assert publish(poison, fail) == (False, [POISON])


@pytest.mark.parametrize("target", ["kafka:user.created", "products"])
def test_other_messages_are_left_alone(target: str) -> None:
    active = ActiveFaults("orders", lab=True)
    active.add(parse_fault({"kind": "publish_fail", "target": target}), "f")
    assert not may_act_on_publishing(active, "order.created")


@pytest.mark.parametrize("kind", ["slow_consumer", "consumer_pause"])
def test_faults_of_consumers_leave_publishing_alone_and_the_other_way_round(kind: str) -> None:
    assert publish({"kind": kind, "target": "orders"}) == (True, [None])


def test_a_paused_consumer_goes_on_when_the_fault_is_healed() -> None:
    async def run() -> list[str]:
        active = ActiveFaults("notifications", lab=True)
        active.add(parse_fault({"kind": "consumer_pause", "target": "notifications"}), "f")
        said: list[str] = []

        async def handle() -> None:
            said.append("handled")

        consuming = asyncio.create_task(through_faults(active, "order.created", "k", handle))
        await asyncio.sleep(0)  # its first step, up to the hold
        said.append("healed")
        active.remove("f")
        await consuming
        return said

    assert asyncio.run(run()) == ["healed", "handled"]


def test_a_pause_lasts_longer_than_one_lease_if_it_is_renewed_and_no_longer_if_not() -> None:
    async def run() -> tuple[bool, bool]:
        active = ActiveFaults("notifications", lab=True)
        fault = parse_fault({"kind": "consumer_pause", "target": "notifications"})
        active.replace([("f", fault, 60.0, 0)], lease=0.1)
        done = asyncio.Event()

        async def handle() -> None:
            done.set()

        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            loop = asyncio.get_running_loop()
            tasks.create_task(through_faults(active, "order.created", "k", handle))
            until = loop.time() + 0.3
            while loop.time() < until:
                active.renew(0.1)
                await asyncio.sleep(0.01)
            held = not done.is_set()
            await done.wait()
            return held, bool(active.records())

    assert asyncio.run(run()) == (True, False)
