"""Faults on answers, behind real servers: a stock uvicorn, and the shop's own protocol."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.middleware import ChaosMiddleware
from cloudcart.faults import parse_fault
from cloudcart.services.server import OneWriteProtocol

BODY = json.dumps({"items": list(range(40))}).encode()


class Shop:
    """An application that answers with BODY, whole or as a stream, under faults."""

    def __init__(self) -> None:
        self.served = 0
        self.active = ActiveFaults("mine", lab=True)
        self.under_faults = ChaosMiddleware(self.app, active=self.active)

    async def app(self, scope: Any, _receive: Any, send: Any) -> None:
        self.served += 1
        stream = scope["path"] == "/stream"
        headers = [] if stream else [(b"content-length", b"%d" % len(BODY))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for start in range(0, len(BODY), 50):
            more = start + 50 < len(BODY)
            await send({"type": "http.response.body", "body": BODY[start : start + 50], "more_body": more})

    def inject(self, **document: Any) -> None:
        self.active.clear()
        self.active.add(parse_fault({"target": "mine", **document}, services=None), f"f{len(self.active.history())}")


@contextmanager
def serving(app: Any, protocol: Any) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, http=protocol, lifespan="off", log_level="critical"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started:
                assert time.monotonic() < deadline, "the server did not start in time"
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture(params=["httptools", "h11", OneWriteProtocol], ids=["httptools", "h11", "shop"])
def shop(request: pytest.FixtureRequest) -> Iterator[tuple[Shop, str]]:
    shop = Shop()
    with serving(shop.under_faults, request.param) as url:
        yield shop, url


@pytest.mark.parametrize(("after_bytes", "served"), [(None, 0), (0, 1), (70, 1), (10_000, 1)])
@pytest.mark.parametrize("path", ["/whole", "/stream"])
def test_a_cut_connection_is_cut(shop: tuple[Shop, str], after_bytes: int | None, served: int, path: str) -> None:
    application, url = shop
    application.inject(kind="reset", after_bytes=after_bytes)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.get(url + path, trust_env=False)
    assert (application.served, application.active.records()[0].injected) == (served, 1)
    application.active.clear()
    assert httpx.get(url + path, trust_env=False).content == BODY


def test_the_shop_s_server_resets_the_connection_at_once() -> None:
    shop = Shop()
    shop.inject(kind="reset")
    with serving(shop.under_faults, OneWriteProtocol) as url, socket.socket() as client:
        client.settimeout(5)
        client.connect(("127.0.0.1", urlsplit(url).port))
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1000)


def test_bytes_before_the_cut_arrive() -> None:
    shop = Shop()
    shop.inject(kind="reset", after_bytes=70)
    with serving(shop.under_faults, OneWriteProtocol) as url, httpx.Client(trust_env=False) as client:
        got: list[bytes] = []
        with pytest.raises(httpx.HTTPError), client.stream("GET", url) as answer:
            got.extend(answer.iter_raw())
    assert b"".join(got) == BODY[:70]


@pytest.mark.parametrize("path", ["/whole", "/stream"])
def test_a_body_drips_and_arrives_unchanged(shop: tuple[Shop, str], path: str) -> None:
    application, url = shop
    application.inject(kind="slow_body", rate=len(BODY) / 0.3)
    begun = time.perf_counter()
    assert httpx.get(url + path, trust_env=False).content == BODY
    assert 0.28 < time.perf_counter() - begun < 2


def test_healing_lets_the_rest_of_a_dripping_body_go(request_to: Any) -> None:
    shop = Shop()
    shop.inject(kind="slow_body", rate=1)

    async def heal() -> bytes:
        request = asyncio.create_task(request_to(shop.under_faults))
        async with asyncio.timeout(5):
            while not shop.active.records()[0].waiting:  # noqa: ASYNC110 - the record knows nothing of the test
                await asyncio.sleep(0.001)
            shop.active.clear()
            return bytes((await request).body)

    assert asyncio.run(heal()) == BODY


@pytest.mark.parametrize("path", ["/whole", "/stream"])
@pytest.mark.parametrize(("how", "length"), [("malformed", len(BODY)), ("truncated", len(BODY) // 2)])
def test_a_corrupt_body_is_a_whole_answer_that_cannot_be_read(
    shop: tuple[Shop, str], path: str, how: str, length: int
) -> None:
    application, url = shop
    application.inject(kind="corrupt", how=how)
    answer = httpx.get(url + path, trust_env=False)
    assert (answer.status_code, len(answer.content)) == (200, length)
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        answer.json()


def test_a_quota_refuses_what_exceeds_it_and_is_full_again_after_its_time(clock: Any, request_to: Any) -> None:
    active = ActiveFaults("mine", lab=True, clock=clock)
    document = {"kind": "quota", "target": "mine", "requests": 3, "per": "10s", "retry_after": "2.1s"}
    active.add(parse_fault(document, services=None), "f")
    app = ChaosMiddleware(Shop().app, active=active)

    def answers(count: int) -> list[int]:
        return [asyncio.run(request_to(app)).status for _ in range(count)]

    assert answers(5) == [200, 200, 200, 429, 429]
    clock.now += 10
    assert answers(4) == [200, 200, 200, 429]
    refused = asyncio.run(request_to(app))
    assert refused.headers["retry-after"] == "3"
    assert active.counts()["f"] == (4, 4)
