"""Hooks as such: where their faults come from, threads, what is missing, what is shown."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from cloudcart import Hooks
from cloudcart.chaos.client import ControlPlane
from cloudcart.exceptions import FaultError
from cloudcart.hooks.blocking import completed
from cloudcart.services.chaos_control import create_app
from cloudcart.settings import Settings

ANSWERS = httpx.MockTransport(lambda _request: httpx.Response(200))


def statuses(hooks: Hooks, count: int) -> list[int]:
    with httpx.Client(transport=hooks.httpx_transport(ANSWERS)) as client:
        return [client.get("http://things/").status_code for _ in range(count)]


def test_faults_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"kind": "error", "status": 418, "direction": "outbound"}
    monkeypatch.setenv("CLOUDCART_FAULTS", json.dumps([document]))
    monkeypatch.setenv("CLOUDCART_LAB", "1")
    with Hooks("mine") as hooks:
        assert statuses(hooks, 1) == [418]
    with Hooks("mine", lab=False) as hooks:
        assert statuses(hooks, 1) == [200]


def test_a_control_plane_is_followed_by_synchronous_code(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(create_app(Settings(lab=True, log_level="warning"))) as url, ControlPlane(url) as control:
        monkeypatch.setenv("CLOUDCART_LAB", "1")
        monkeypatch.setenv("CLOUDCART_CHAOS_URL", url)
        with Hooks("mine") as hooks:
            deadline = time.monotonic() + 10
            while not control.targets():
                assert time.monotonic() < deadline, "the hooks did not connect"
                time.sleep(0.01)
            fault = control.inject({"kind": "error", "target": "mine->things", "first": 2})
            assert fault["acknowledged"] == ["mine/0"]
            assert statuses(hooks, 3) == [503, 503, 200]
            assert control.heal(fault["id"])["injected"] == 2
            assert statuses(hooks, 1) == [200]
        assert not any(thread.name == "cloudcart-hooks" for thread in threading.enumerate())


def test_many_threads_get_the_same_account() -> None:
    fault = {"kind": "error", "direction": "outbound", "first": 50}
    with Hooks("mine", faults=[fault], lab=True) as hooks:
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.extend(statuses(hooks, 50))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found.count(503) == 50
        assert list(hooks.active.counts().values()) == [(50, 50)]


def test_a_time_to_live_ends_what_nobody_heals() -> None:
    fault = {"kind": "latency", "fixed": "60s", "direction": "outbound", "ttl": "200ms"}
    with Hooks("mine", faults=[fault], lab=True) as hooks:
        begun = time.monotonic()
        assert statuses(hooks, 2) == [200, 200]
        assert time.monotonic() - begun < 20


@pytest.mark.parametrize("kind", ["pause", "db_pool_drain", "cpu_burn"])
def test_what_cannot_act_here_is_refused(kind: str) -> None:
    with pytest.raises(FaultError, match=f"{kind} acts on services of the shop; here faults act on requests, calls"):
        Hooks("mine", faults=[{"kind": kind}], lab=True)


def test_what_faults_did_is_shown() -> None:
    registry = CollectorRegistry()
    with Hooks("mine", faults=[{"kind": "error", "direction": "outbound"}], lab=True) as hooks:
        hooks.metrics(registry)
        statuses(hooks, 3)
        assert 'chaos_faults_injected_total{fault_id="mine-1",kind="error"} 3.0' in generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("call", "command"),
    [
        ("aiohttp_middleware()", "pip install aiohttp>=3.12"),
        ("sqlalchemy_engine(None)", "pip install sqlalchemy>=2"),
        ("redis_client(None)", "pip install redis>=5"),
        ("faststream_middleware()", "pip install 'faststream[kafka]'"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_adds_it(call: str, command: str) -> None:
    blocked = "{'aiohttp': None, 'sqlalchemy': None, 'redis': None, 'faststream': None}"
    code = f"import sys; sys.modules.update({blocked}); from cloudcart import Hooks; Hooks('mine').{call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert command in done.stderr


def test_a_hook_never_waits_for_a_loop_in_synchronous_code() -> None:
    async def waits() -> None:
        import asyncio

        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="must not wait for an event loop"):
        completed(waits())
