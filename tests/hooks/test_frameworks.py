"""The middleware in applications of four frameworks that are not ours: by Python, by environment, by a control plane.

Each application is small, written as its framework's documentation writes one, and knows nothing of a shop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import django
import httpx
import pytest
from django.conf import settings as django_settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.middleware import DefineMiddleware
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from cloudcart import ChaosMiddleware

Make = Callable[..., Any]


def starlette(**options: Any) -> Any:
    async def thing(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"thing {request.path_params['number']}")

    async def stream(_request: Request) -> StreamingResponse:
        return StreamingResponse(iter([b"one", b"two", b"three"]))

    routes = [Route("/things/{number:int}", thing), Route("/stream", stream), Route("/health", thing_health)]
    return Starlette(routes=routes, middleware=[Middleware(ChaosMiddleware, service="mine", **options)])


async def thing_health(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("well")


def fastapi(**options: Any) -> Any:
    app = FastAPI()
    app.add_middleware(ChaosMiddleware, service="mine", **options)

    @app.get("/things/{number}")
    async def thing(number: int) -> str:
        return f"thing {number}"

    @app.get("/health")
    async def health() -> str:
        return "well"

    return app


def litestar(**options: Any) -> Any:
    @get("/things/{number:int}")
    async def thing(number: FromPath[int]) -> str:
        return f"thing {number}"

    @get("/health")
    async def health() -> str:
        return "well"

    return Litestar([thing, health], middleware=[DefineMiddleware(ChaosMiddleware, service="mine", **options)])


def django_thing(_request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"thing {number}")


urlpatterns = [path("things/<int:number>", django_thing), path("health", lambda _request: HttpResponse("well"))]


def django_asgi(**options: Any) -> Any:
    if not django_settings.configured:
        django_settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], USE_TZ=True, SECRET_KEY="of this test")
        django.setup()
    return ChaosMiddleware(get_asgi_application(), service="mine", **options)


FRAMEWORKS = [starlette, fastapi, litestar, django_asgi]
every_framework = pytest.mark.parametrize("make", FRAMEWORKS, ids=lambda make: make.__name__)


def statuses(app: Any, *paths: str) -> list[int]:
    """Ask an application directly, without a server."""

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://mine") as client:
            return [(await client.get(path)).status_code for path in paths]

    return asyncio.run(ask())


THREE = ("/things/1", "/things/2", "/things/3")


@every_framework
def test_faults_given_in_python(make: Make) -> None:
    app = make(faults=[{"kind": "error", "status": 418, "first": 2}], lab=True)
    assert statuses(app, *THREE) == [418, 418, 200]


@every_framework
def test_faults_given_by_the_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"kind": "error", "target": "mine:/things/{number}", "status": 503}
    monkeypatch.setenv("CLOUDCART_FAULTS", json.dumps([document]))
    monkeypatch.setenv("CLOUDCART_LAB", "1")
    assert statuses(make(), "/things/1", "/health") == [503, 200]


@every_framework
def test_without_a_lab_nothing_happens(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDCART_FAULTS", json.dumps([{"kind": "error"}]))
    assert statuses(make(faults=[{"kind": "error"}]), "/things/1", "/health") == [200, 200]


@every_framework
def test_what_a_server_shows_of_each_kind(make: Make, serving: Any) -> None:
    faults = [
        {"kind": "latency", "fixed": "60ms", "target": "mine:/things/1"},
        {"kind": "timeout", "after": "20ms", "target": "mine:/things/2"},
        {"kind": "reset", "target": "mine:/things/3"},
        {"kind": "corrupt", "target": "mine:/things/4"},
    ]
    with serving(make(faults=faults, lab=True)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        slow = client.get("/things/1")
        assert slow.elapsed.total_seconds() >= 0.06
        assert (slow.status_code, slow.headers["x-cloudcart-fault"]) == (200, "mine-1")
        assert client.get("/things/2").status_code == 504
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/things/3")
        assert client.get("/things/4").text.strip('"') != "thing 4"
        assert client.get("/things/5").text.strip('"') == "thing 5"


def test_a_stream_goes_on_while_a_fault_is_active() -> None:
    app = starlette(faults=[{"kind": "latency", "fixed": "1ms"}], lab=True)
    assert statuses(app, "/stream") == [200]
