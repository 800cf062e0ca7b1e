"""The control client, the control plane, a service of the shop and a foreign application, each served for real."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cloudcart import ChaosMiddleware
from cloudcart.chaos.client import ControlPlane
from cloudcart.exceptions import FaultError, LabError
from cloudcart.services.assemble import assemble
from cloudcart.services.chaos_control import create_app
from cloudcart.services.security import ServiceTokens
from cloudcart.settings import Auth, Settings
from cloudcart.telemetry.metrics import Telemetry

AUTH = Auth.model_validate({"service_secret": "a secret of more than thirty-two characters"})
LAB = Settings(lab=True, auth=AUTH, log_level="warning")


def products(settings: Settings) -> Any:
    app = FastAPI()

    @app.get("/products/{id}")
    async def product(id: int) -> dict[str, int]:  # noqa: A002 - the route's parameter
        return {"id": id}

    return assemble("products", app, settings, Telemetry("products"))


@pytest.fixture
def control(serving: Any) -> Iterator[ControlPlane]:
    tokens = ServiceTokens(AUTH, "lab")
    with serving(create_app(LAB)) as url, ControlPlane(url, lambda: tokens.header()[1].decode()) as plane:
        yield plane


def address(control: ControlPlane) -> str:
    return str(control._client.base_url).rstrip("/")


def test_a_fault_acts_when_inject_returns_and_no_more_when_heal_returns(control: ControlPlane, serving: Any) -> None:
    with serving(products(LAB.with_overrides({"urls.chaos": address(control)}))) as url, httpx.Client() as http:
        wait_until_connected(control, "products")
        fault = control.inject({"kind": "error", "target": "products:/products/{id}", "status": 500})
        assert fault["acknowledged"] == ["products/0"]
        answers = [http.get(f"{url}/products/7") for _ in range(3)]
        assert {a.status_code for a in answers} == {500}
        assert all(a.headers["x-cloudcart-fault"] == fault["id"] for a in answers)
        assert control.fault(fault["id"])["injected"] == 3
        assert http.get(f"{url}/health").status_code == 200
        assert control.heal(fault["id"])["injected"] == 3
        assert http.get(f"{url}/products/7").status_code == 200
        with pytest.raises(FaultError, match=r"did you mean /products/\{id\}"):
            control.inject({"kind": "error", "target": "products:/products/7"})
        metrics = http.get(f"{url}/metrics").text
        assert f'chaos_faults_injected_total{{fault_id="{fault["id"]}",kind="error"}} 3.0' in metrics


def test_a_foreign_application_follows_a_control_plane(
    control: ControlPlane, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = FastAPI()

    @app.get("/things/{number}")
    async def thing(number: int) -> int:
        return number

    tokens = ServiceTokens(AUTH, "mine")
    monkeypatch.setenv("CLOUDCART_LAB", "1")
    monkeypatch.setenv("CLOUDCART_CHAOS_URL", address(control))
    monkeypatch.setenv("CLOUDCART_CHAOS_TOKEN", tokens.header()[1].decode())
    app.add_middleware(ChaosMiddleware, service="mine")
    with serving(app) as url, httpx.Client() as http:
        wait_until_connected(control, "mine")
        fault = control.inject({"kind": "error", "target": "mine:/things/{number}", "first": 2})
        assert fault["acknowledged"] == ["mine/0"]
        assert [http.get(f"{url}/things/{n}").status_code for n in range(4)] == [503, 503, 200, 200]
        assert control.heal_all()[-1]["injected"] == 2


def test_what_the_control_plane_refuses_is_one_sentence(control: ControlPlane) -> None:
    for document, sentence in (
        ({"kind": "error", "target": "prodcuts"}, "target: there is no 'prodcuts' to aim at"),
        ({"kind": "error", "target": "products", "ttl": 0}, "ttl: "),
    ):
        with pytest.raises(FaultError, match=sentence):
            control.inject(document)
    for refused in (control.heal, control.fault):
        with pytest.raises(FaultError, match="there is no fault 'none'"):
            refused("none")
    fault = control.inject({"kind": "error", "target": "products"})
    assert control.change(fault["id"], {"probability": 0.5})["probability"] == 0.5
    assert [entry["id"] for entry in control.heal_all()] == [fault["id"]]
    assert [entry["state"] for entry in control.faults()] == ["healed"]


def test_no_control_plane() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with ControlPlane(url) as control, pytest.raises(LabError, match="does not answer"):
            control.faults()


def test_a_wrong_token(serving: Any) -> None:
    served = serving(create_app(LAB))
    with served as url, ControlPlane(url, lambda: "nonsense") as control, pytest.raises(LabError, match="401"):
        control.faults()


def wait_until_connected(control: ControlPlane, service: str) -> None:
    deadline = time.monotonic() + 10
    while service not in (target["service"] for target in control.targets()):
        assert time.monotonic() < deadline, f"{service} did not connect"
