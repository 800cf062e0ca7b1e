"""The stack around an application of three routes, without any service of the shop."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from prometheus_client import CollectorRegistry
from starlette.responses import StreamingResponse

from cloudcart.chaos.active import ActiveFaults
from cloudcart.faults import parse_fault
from cloudcart.services.assemble import assemble, route_templates
from cloudcart.services.layers import Check
from cloudcart.settings import Settings
from cloudcart.telemetry.context import current
from cloudcart.telemetry.metrics import Telemetry

MEBIBYTE = 1024 * 1024


def application() -> FastAPI:
    app, router = FastAPI(openapi_url=None), APIRouter(prefix="/things")

    @router.get("/{thing_id}")
    async def show(thing_id: int) -> dict[str, object]:
        context = current.get()
        assert context is not None
        return {"id": thing_id, "key": context.request_key, "request": context.request_id}

    @router.post("")
    async def store(request: Request) -> int:
        return len(await request.body())

    @router.get("/broken/now")
    async def broken() -> None:
        raise RuntimeError("hunter2")

    @router.get("/broken/halfway")
    async def halfway() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("hunter2")

        return StreamingResponse(pieces())

    @router.get("/events/stream")
    async def events() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await asyncio.sleep(0.2)
            yield b"data: 2\n\n"

        return StreamingResponse(pieces(), media_type="text/event-stream")

    app.include_router(router)
    return app


class Stack:
    def __init__(self, *, lab: bool = False, checks: Mapping[str, Check] | None = None) -> None:
        self.registry = CollectorRegistry()
        self.faults = ActiveFaults("products", lab=lab)
        settings = Settings(lab=lab, log_level="error")
        telemetry = Telemetry("products", self.registry)
        self.app = assemble("products", application(), settings, telemetry, self.faults, checks=checks)

    def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.request(method, path, **kwargs)

        return asyncio.run(run())

    def counted(self, route: str, status: int, method: str = "GET") -> float:
        labels = {"service": "products", "method": method, "route": route, "status": str(status)}
        return self.registry.get_sample_value("http_requests_total", labels) or 0.0


def test_servers_see_that_it_is_asgi_3() -> None:
    config = uvicorn.Config(Stack().app)
    config.load()
    assert config.interface == "asgi3"


def test_templates_come_from_the_application_also_from_included_routers() -> None:
    assert route_templates(application())[-5:] == [
        "/things/{thing_id}", "/things", "/things/broken/now", "/things/broken/halfway", "/things/events/stream",
    ]  # fmt: skip


def test_requests_are_counted_by_template_and_get_an_id() -> None:
    stack = Stack()
    response = stack.ask("GET", "/things/7")
    assert response.json()["request"] == response.headers["x-request-id"]
    assert stack.ask("GET", "/nothing/7").status_code == 404
    assert (stack.counted("/things/{thing_id}", 200), stack.counted("unmatched", 404)) == (1, 1)
    assert stack.registry.get_sample_value("http_requests_in_flight") == 0


@pytest.mark.parametrize("request_id", ["", "a b", "<script>", "é", "a\x7f"])
def test_an_id_that_is_not_one_is_replaced(request_id: str) -> None:
    answer = Stack().ask("GET", "/things/7", headers={"x-request-id": request_id.encode("latin-1")})
    assert len(answer.headers["x-request-id"]) == 32


def test_an_event_stream_is_timed_to_its_first_event() -> None:
    stack = Stack()
    assert stack.ask("GET", "/things/events/stream").content.count(b"data") == 2
    labels = {"service": "products", "method": "GET", "route": "/things/events/stream"}
    assert (stack.registry.get_sample_value("http_request_duration_seconds_sum", labels) or 1) < 0.2


def test_only_a_lab_honours_the_labs_headers() -> None:
    headers = {"x-cloudcart-request-key": "buy/1/2"}
    assert Stack(lab=True).ask("GET", "/things/7", headers=headers).json()["key"] == "buy/1/2"
    assert Stack(lab=False).ask("GET", "/things/7", headers=headers).json()["key"] == ""


def test_head_is_get_without_its_body() -> None:
    stack = Stack()
    response = stack.ask("HEAD", "/things/7")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0
    assert stack.counted("/things/{thing_id}", 200, "HEAD") == 1


def test_what_nobody_caught_is_a_500_without_details(caplog: pytest.LogCaptureFixture) -> None:
    stack = Stack()
    with caplog.at_level(logging.ERROR):
        response = stack.ask("GET", "/things/broken/now")
    assert response.status_code == 500
    assert "hunter2" not in response.text
    assert stack.counted("/things/broken/now", 500) == 1
    (record,) = caplog.records
    assert record.__dict__["trace_id"]


def test_half_an_answer_is_not_made_to_look_whole() -> None:
    async def run() -> None:
        stack = Stack()
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        scope = {
            "type": "http", "method": "GET", "path": "/things/broken/halfway", "raw_path": b"", "query_string": b"",
            "headers": [], "http_version": "1.1", "scheme": "http", "root_path": "",
        }  # fmt: skip
        with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever makes the server cut the connection
            await stack.app(scope, never, send)
        assert not any(m["type"] == "http.response.body" and not m.get("more_body") for m in messages)

    async def never() -> Any:
        await asyncio.Event().wait()

    asyncio.run(run())


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(0, 200), (MEBIBYTE, 200), (MEBIBYTE + 1, 413)])
def test_bodies_over_a_mebibyte_are_refused(size: int, status: int, *, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 65536):
            yield bytes(min(65536, size - start))

    response = Stack().ask("POST", "/things", content=pieces() if chunked else bytes(size))
    assert response.status_code == status
    assert status == 413 or response.json() == size


def test_ready_is_when_every_check_passes() -> None:
    async def fine() -> None:
        return

    async def gone() -> None:
        raise OSError("db.internal:5432 refused")

    async def hangs() -> None:
        await asyncio.Event().wait()

    ready = Stack(checks={"database": fine}).ask("GET", "/ready")
    assert (ready.status_code, ready.json()["checks"]) == (200, {"database": "ok"})
    answer = Stack(checks={"database": gone, "kafka": hangs, "redis": fine}).ask("GET", "/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "unavailable", "kafka": "unavailable", "redis": "ok"}
    assert "5432" not in answer.text


def test_operations_are_read_only_and_no_traffic() -> None:
    stack = Stack()
    assert stack.ask("POST", "/health").status_code == 405
    assert stack.ask("GET", "/health").json() == {"status": "ok", "service": "products"}
    assert "http_requests_total" in stack.ask("GET", "/metrics").text
    assert stack.counted("/health", 200) == stack.counted("/metrics", 200) == 0


def test_injected_errors_are_counted_and_the_application_does_not_see_them() -> None:
    stack = Stack(lab=True)
    stack.faults.add(parse_fault({"kind": "error", "status": 418, "target": "products"}), "f1")
    answer = stack.ask("GET", "/things/7")
    assert (answer.status_code, answer.headers["x-cloudcart-fault"]) == (418, "f1")
    assert stack.counted("/things/{thing_id}", 418) == 1
    assert stack.ask("GET", "/health").status_code == 200


def test_in_a_lab_faults_come_from_the_control_plane(auth_settings: Callable[[str], Settings]) -> None:
    async def run() -> None:
        questions: list[dict[str, Any]] = []
        document = {"kind": "error", "status": 418, "target": "products"}
        fault = {"id": "f1", "document": document, "ttl_left": 60, "ordinal": 0}
        answer = {"epoch": "e", "version": 1, "faults": [fault], "lease": 60}

        async def control_plane(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    assert head.startswith("POST /internal/chaos/poll HTTP/1.1")
                    assert "x-service-token: " in head
                    length = next(line for line in head.split("\r\n") if line.startswith("content-length: "))
                    questions.append(json.loads(await reader.readexactly(int(length.split()[1]))))
                    if len(questions) > 1:
                        await reader.read()  # a long poll
                        return
                    body = json.dumps(answer).encode()
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            except asyncio.IncompleteReadError:
                return
            finally:
                writer.close()

        server = await asyncio.start_server(control_plane, "127.0.0.1", 0)
        settings = auth_settings(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        app = assemble("products", application(), settings, Telemetry("products"))
        incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        outgoing: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        async with asyncio.timeout(20):
            life = asyncio.create_task(app({"type": "lifespan"}, incoming.get, outgoing.put))
            await incoming.put({"type": "lifespan.startup"})
            assert (await outgoing.get())["type"] == "lifespan.startup.complete"
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                while (await client.get("/things/7")).status_code != 418:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert questions[0]["service"] == "products"
            assert "/things/{thing_id}" in questions[0]["routes"]
            await incoming.put({"type": "lifespan.shutdown"})
            await life
        server.close()
        await server.wait_closed()

    asyncio.run(run())


@pytest.fixture
def auth_settings() -> Callable[[str], Settings]:
    def settings(chaos: str) -> Settings:
        return Settings.model_validate(
            {"lab": True, "log_level": "error", "urls": {"chaos": chaos}, "auth": {"service_secret": "s" * 40}}
        )

    return settings
