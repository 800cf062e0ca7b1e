"""The middleware around applications that are not the shop's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from cloudcart import ChaosMiddleware
from cloudcart.exceptions import FaultError
from cloudcart.faults import parse_fault

ERROR = {"kind": "error", "status": 500}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAB", "FAULTS", "CHAOS_URL", "CHAOS_TOKEN", "SEED", "REPLICA"):
        monkeypatch.delenv(f"CLOUDCART_{name}", raising=False)


@pytest.mark.parametrize(
    ("lab", "declared", "status"),
    [(None, None, 200), (None, "0", 200), (False, "1", 200), (None, "1", 500), (True, None, 500)],
)
def test_it_acts_only_where_a_lab_is_declared(
    lab: bool | None, declared: str | None, status: int, echo: Any, request_to: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if declared is not None:
        monkeypatch.setenv("CLOUDCART_LAB", declared)
    app = ChaosMiddleware(echo, service="my-app.v2", faults=[ERROR], lab=lab)
    assert asyncio.run(request_to(app)).status == status


def test_faults_as_values_and_with_targets(echo: Any, request_to: Any) -> None:
    faults = [
        parse_fault({**ERROR, "target": "mine:/orders/{id}"}, services=None),
        {**ERROR, "status": 418, "target": "mine:/things/{id}", "method": "PUT"},
        {**ERROR, "target": "somebody-else"},
    ]
    app = ChaosMiddleware(echo, service="mine", faults=faults, lab=True)

    async def statuses() -> list[int]:
        paths = [("/orders/7", "GET"), ("/things/7", "PUT"), ("/things/7", "GET"), ("/health", "GET")]
        return [(await request_to(app, path, method=method)).status for path, method in paths]

    assert asyncio.run(statuses()) == [500, 418, 200, 200]


def test_faults_from_the_environment(echo: Any, request_to: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDCART_FAULTS", json.dumps([ERROR]))
    assert asyncio.run(request_to(ChaosMiddleware(echo, service="mine", lab=True))).marks == ["mine-1"]
    assert asyncio.run(request_to(ChaosMiddleware(echo, service="mine", lab=False))).status == 200


@pytest.mark.parametrize("text", ["nonsense", "{}", "[1]"])
def test_an_environment_that_makes_no_sense(text: str, echo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDCART_FAULTS", text)
    with pytest.raises(FaultError, match="CLOUDCART_FAULTS: write a JSON list"):
        ChaosMiddleware(echo, service="mine", lab=True)


def test_faults_on_processes_are_for_the_shop_s_services(echo: Any) -> None:
    with pytest.raises(FaultError, match="cpu_burn acts on services of the shop"):
        ChaosMiddleware(echo, service="mine", faults=[{"kind": "cpu_burn"}], lab=True)


@pytest.mark.parametrize("name", ["", "two words", "a->b", "mine:/x", "kafka:x"])
def test_a_name_is_plain(name: str, echo: Any) -> None:
    with pytest.raises(FaultError, match="service: "):
        ChaosMiddleware(echo, service=name)


def test_a_misspelt_fault_is_refused_at_once_also_outside_a_lab(echo: Any) -> None:
    with pytest.raises(FaultError, match="statsu"):
        ChaosMiddleware(echo, service="mine", faults=[{"kind": "error", "statsu": 500}])


def test_the_request_s_key_and_own_fault_are_honoured(echo: Any, request_to: Any) -> None:
    app = ChaosMiddleware(echo, service="mine", faults=[{**ERROR, "probability": 0.5}], lab=True)

    async def twice() -> list[list[bool]]:
        return [[bool((await request_to(app, key=f"k/{n}")).marks) for n in range(40)] for _ in range(2)]

    first, second = asyncio.run(twice())
    assert first == second
    assert {True, False} == set(first)
    inject = {"X-CloudCart-Inject": "error;status=418;target=mine"}
    unhit = first.index(False)
    assert asyncio.run(request_to(app, key=f"k/{unhit}", headers=inject)).status == 418
