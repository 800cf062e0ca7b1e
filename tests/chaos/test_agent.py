"""The agents of services together with the control plane's memory, without HTTP between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.agent import Agent
from cloudcart.chaos.metrics import ChaosMetrics
from cloudcart.chaos.middleware import ChaosMiddleware
from cloudcart.chaos.process import ProcessFaults
from cloudcart.events import ChaosCleared, ChaosInjected, Event
from cloudcart.services.chaos_control.ledger import Ledger
from cloudcart.services.chaos_control.pollers import Question
from cloudcart.settings import Chaos


@dataclass
class Lab:
    """A control plane that can be exchanged for a new one, and the events that it published."""

    settings: Chaos = field(default_factory=Chaos)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.ledger = Ledger(self.settings, self.events.append)
        self.reachable = True

    async def poll(self, question: bytes) -> bytes:
        if not self.reachable:
            raise ConnectionError
        answer = await self.ledger.poll(Question.model_validate_json(question))
        return json.dumps(answer).encode()

    @asynccontextmanager
    async def service(self, name: str, replica: int = 0, **options: Any) -> AsyncIterator[ActiveFaults]:
        active = ActiveFaults(name, replica, lab=True, **options)
        agent = asyncio.create_task(Agent(active, self.poll, routes=["/things/{id}"]).run())
        try:
            await until(lambda: any((p.service, p.replica) == (name, replica) for p in self.ledger.connected()))
            yield active
        finally:
            agent.cancel()
            await asyncio.gather(agent, return_exceptions=True)


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of the test
            await asyncio.sleep(0.001)


ERROR = {"kind": "error", "target": "products"}


def test_when_inject_returns_the_fault_acts_on_every_replica_and_when_heal_returns_on_none() -> None:
    async def run() -> None:
        lab = Lab()
        async with lab.service("products", 0) as one, lab.service("products", 1) as two, lab.service("orders") as other:
            entry = await lab.ledger.inject(ERROR)
            assert [len(active.records()) for active in (one, two, other)] == [1, 1, 0]
            assert lab.ledger.targets(entry) == (["products/0", "products/1"], [])
            await until(lambda: other.any)
            await lab.ledger.heal(entry.id)
            assert not one.any
            assert not two.any
            await until(lambda: not other.any)

    asyncio.run(run())


def test_several_processes_under_one_name() -> None:
    async def run() -> None:
        lab = Lab()
        async with lab.service("products") as one, lab.service("products") as two:
            await until(lambda: len(list(lab.ledger.connected())) == 2)
            entry = await lab.ledger.inject(ERROR)
            assert [len(active.records()) for active in (one, two)] == [1, 1]
            await lab.ledger.heal(entry.id)
            assert not one.any
            assert not two.any

    asyncio.run(run())


def test_one_replica_alone() -> None:
    async def run() -> None:
        lab = Lab()
        async with lab.service("products", 0) as one, lab.service("products", 1) as two:
            entry = await lab.ledger.inject({**ERROR, "replica": 1})
            assert (len(one.records()), len(two.records())) == (0, 1)
            assert lab.ledger.targets(entry) == (["products/1"], [])

    asyncio.run(run())


def test_middleware_metric_control_plane_and_events_agree(echo: Any, request_to: Any) -> None:
    async def run() -> None:
        lab = Lab()
        watching = asyncio.create_task(lab.ledger.watch())
        async with lab.service("products", 0) as one, lab.service("products", 1) as two:
            registries = [CollectorRegistry() for _ in range(2)]
            for active, registry in zip((one, two), registries, strict=True):
                ChaosMetrics(active, registry)
            entry = await lab.ledger.inject({**ERROR, "probability": 0.4})
            apps = [ChaosMiddleware(echo, active=active) for active in (one, two)]
            marks = [(await request_to(apps[n % 2], key=f"k{n}")).marks for n in range(300)]
            await lab.ledger.heal(entry.id)
            hits = sum(map(len, marks))
            labels = {"fault_id": entry.id, "kind": "error"}
            told = [event for event in lab.events if isinstance(event, ChaosInjected)]
            assert 0 < hits < 300
            assert (entry.drawn, entry.injected) == (300, hits)
            assert sum(r.get_sample_value("chaos_faults_injected_total", labels) or 0 for r in registries) == hits
            assert sum(event.count for event in told) == hits
            assert {event.service for event in told} == {"products"}
            (cleared,) = [event for event in lab.events if isinstance(event, ChaosCleared)]
            assert (cleared.fault_id, cleared.reason, cleared.injected_count) == (entry.id, "healed", hits)
        watching.cancel()

    asyncio.run(run())


def test_a_fault_that_requests_bring_along_has_the_same_accounts(echo: Any, request_to: Any) -> None:
    async def run() -> None:
        lab = Lab()
        watching = asyncio.create_task(lab.ledger.watch())
        async with lab.service("products") as active:
            ChaosMetrics(active, registry := CollectorRegistry())
            header = {"x-cloudcart-inject": "error;status=502;target=products;probability=0.5"}
            app = ChaosMiddleware(echo, active=active)
            marks = [mark for n in range(40) for mark in (await request_to(app, key=f"k{n}", headers=header)).marks]
            (fault_id,), hits = set(marks), len(marks)
            await until(lambda: sum(event.count for event in lab.events) == hits)
            entry = await lab.ledger.look(fault_id)
            assert (entry.state, entry.drawn, entry.injected) == ("carried", 40, hits)
            labels = {"fault_id": fault_id, "kind": "error"}
            assert registry.get_sample_value("chaos_faults_injected_total", labels) == hits
            assert {(event.fault_id, event.service) for event in lab.events} == {(fault_id, "products")}
            assert (await lab.ledger.heal(fault_id)).state == "carried", "nothing is left to heal"
            assert list(lab.ledger.active()) == []
        watching.cancel()

    asyncio.run(run())


def test_hits_are_told_about_every_second_and_the_end_by_itself(echo: Any, request_to: Any) -> None:
    async def run() -> None:
        lab = Lab(Chaos(poll=0.05))
        watching = asyncio.create_task(lab.ledger.watch())
        async with lab.service("products") as active:
            await lab.ledger.inject({**ERROR, "ttl": "1.3s"})
            app = ChaosMiddleware(echo, active=active)
            for _ in range(25):
                await request_to(app)
            await until(lambda: bool(lab.events))
            first = lab.events[0]
            assert isinstance(first, ChaosInjected)
            assert (first.count, first.chaos_type, first.details["target"]) == (25, "error", "products")
            await until(lambda: isinstance(lab.events[-1], ChaosCleared))
            assert [type(event) for event in lab.events] == [ChaosInjected, ChaosCleared]
            last = lab.events[-1]
            assert isinstance(last, ChaosCleared)
            assert (last.reason, last.injected_count) == ("ttl", 25)
        watching.cancel()

    asyncio.run(run())


def test_a_service_that_loses_the_control_plane_drops_its_faults_and_takes_them_up_again(clock: Any) -> None:
    async def run() -> None:
        lab = Lab(Chaos(poll=0.01))
        async with lab.service("products", clock=clock) as active:
            await lab.ledger.inject(ERROR)
            lab.reachable = False
            await asyncio.sleep(0.03)
            assert active.records(), "the lease holds"
            clock.now += 5.0
            assert active.records() == []
            lab.reachable = True
            await until(lambda: bool(active.records()))

    asyncio.run(run())


def test_a_control_plane_that_was_restarted_knows_no_faults_and_ends_them_everywhere() -> None:
    async def run() -> None:
        lab = Lab(Chaos(poll=0.01))
        async with lab.service("products") as active:
            await lab.ledger.inject(ERROR)
            lab.restart()
            await until(lambda: not active.any)
            await lab.ledger.inject(ERROR)
            assert active.records()

    asyncio.run(run())


def test_a_change_reaches_the_service_before_it_returns() -> None:
    async def run() -> None:
        lab = Lab()
        async with lab.service("products") as active:
            entry = await lab.ledger.inject(ERROR)
            await lab.ledger.change(entry.id, {"status": 404, "ttl": "5s"})
            (record,) = active.records()
            assert record.fault.label == "404 on products"
            assert active.seconds_left(record) < 5.01

    asyncio.run(run())


def test_a_fault_that_this_process_does_not_know_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        active = ActiveFaults("products", lab=True)
        faults = [
            {"id": "new", "document": {"kind": "earthquake"}, "ttl_left": 9, "ordinal": 0},
            {"id": "old", "document": ERROR, "ttl_left": 9, "ordinal": 0},
        ]

        async def poll(_question: bytes) -> bytes:
            return json.dumps({"epoch": "e", "version": 1, "lease": 5, "faults": faults}).encode()

        await Agent(active, poll).poll_once()
        assert [record.id for record in active.records()] == ["old"]

    asyncio.run(run())
    assert "fault new cannot act here" in caplog.text


def test_ended_faults_are_forgotten_in_the_end() -> None:
    async def run() -> None:
        ledger = Lab().ledger
        for _ in range(1100):
            await ledger.heal((await ledger.inject(ERROR)).id)
        assert len(ledger.all()) == 1000

    asyncio.run(run())


def test_a_process_fault_acts_when_the_injection_returns_and_has_ended_when_the_heal_does() -> None:
    async def test() -> None:
        lab, active = Lab(), ActiveFaults("users", lab=True)
        agent = asyncio.create_task(Agent(active, lab.poll, process=ProcessFaults(active)).run())
        await until(lambda: any(lab.ledger.connected()))
        entry = await lab.ledger.inject({"kind": "clock_skew", "target": "users", "by": "1h"})
        assert active.surroundings.skew == 3600
        await lab.ledger.heal(entry.id)
        assert (active.surroundings.skew, entry.drawn, entry.injected) == (0, 1, 1)
        agent.cancel()
        await asyncio.gather(agent, return_exceptions=True)

    asyncio.run(test())


def test_an_application_without_that_place_leaves_process_faults_alone() -> None:
    async def test() -> None:
        lab = Lab()
        async with lab.service("users") as active:
            await lab.ledger.inject({"kind": "clock_skew", "target": "users"})
            assert (active.records(), active.surroundings.skew) == ([], 0)

    asyncio.run(test())
