"""Calls of httpx and aiohttp under faults, against a real server: what the caller sees, counts, heals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import aiohttp
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from cloudcart import Hooks

BROKEN = "broken"
LATE = "late"


class Peer:
    """A server that is called, and what it has seen."""

    def __init__(self) -> None:
        self.url = ""
        self.headers: list[dict[str, str]] = []

    async def answer(self, request: Request) -> JSONResponse:
        self.headers.append(dict(request.headers))
        return JSONResponse({"path": request.url.path}, headers={"x-cloudcart-fault": "deep-1"})


@pytest.fixture(scope="module")
def peer(serving: Callable[[Any], AbstractContextManager[str]]) -> Iterator[Peer]:
    peer = Peer()
    with serving(Starlette(routes=[Route("/{path:path}", peer.answer, methods=["GET", "POST"])])) as url:
        peer.url = url
        yield peer


def by_httpx(hooks: Hooks, url: str, count: int, patience: float) -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = []
    with httpx.Client(transport=hooks.httpx_transport(), timeout=patience) as client:
        for number in range(count):
            try:
                answer = client.get(f"{url}/things/{number}")
                found.append((answer.status_code, answer.text))
            except httpx.ReadError:
                found.append((BROKEN, ""))
            except httpx.TimeoutException:
                found.append((LATE, ""))
    return found


def by_async_httpx(hooks: Hooks, url: str, count: int, patience: float) -> list[tuple[Any, str]]:
    async def ask() -> list[tuple[Any, str]]:
        found: list[tuple[Any, str]] = []
        async with httpx.AsyncClient(transport=hooks.async_httpx_transport(), timeout=patience) as client:
            for number in range(count):
                try:
                    answer = await client.get(f"{url}/things/{number}")
                    found.append((answer.status_code, answer.text))
                except httpx.ReadError:
                    found.append((BROKEN, ""))
                except httpx.TimeoutException:
                    found.append((LATE, ""))
        return found

    return asyncio.run(ask())


def by_aiohttp(hooks: Hooks, url: str, count: int, patience: float) -> list[tuple[Any, str]]:
    async def ask() -> list[tuple[Any, str]]:
        found: list[tuple[Any, str]] = []
        timeout = aiohttp.ClientTimeout(total=patience)
        async with aiohttp.ClientSession(middlewares=[hooks.aiohttp_middleware()], timeout=timeout) as session:
            for number in range(count):
                try:
                    # aiohttp itself repeats a GET, once, when its connection is lost: faults act below that, too
                    async with session.post(f"{url}/things/{number}") as answer:
                        found.append((answer.status, await answer.text()))
                except aiohttp.ServerDisconnectedError:
                    found.append((BROKEN, ""))
                except TimeoutError:
                    found.append((LATE, ""))
        return found

    return asyncio.run(ask())


Ask = Callable[[Hooks, str, int, float], list[tuple[Any, str]]]
every_client = pytest.mark.parametrize("ask", [by_httpx, by_async_httpx, by_aiohttp], ids=lambda ask: ask.__name__)


def statuses(ask: Ask, peer: Peer, fault: dict[str, object], count: int = 3, patience: float = 5.0) -> list[Any]:
    with Hooks("mine", faults=[fault], lab=True, peers={"127.0.0.1": "things"}) as hooks:
        found = [status for status, _ in ask(hooks, peer.url, count, patience)]
        [(drawn, injected)] = hooks.active.counts().values()
    hit = sum(status != 200 for status in found)
    assert (drawn, injected) == (min(count, drawn), hit), "what is counted is what the caller saw"
    return found


@every_client
def test_an_error_in_the_peer_s_stead(ask: Ask, peer: Peer) -> None:
    seen = len(peer.headers)
    assert statuses(ask, peer, {"kind": "error", "target": "mine->things", "first": 2}) == [503, 503, 200]
    assert len(peer.headers) - seen == 1, "the peer has not seen what was answered in its stead"


@every_client
def test_an_injected_answer_reads_like_any_other(ask: Ask, peer: Peer) -> None:
    fault = {"kind": "error", "status": 418, "target": "mine", "direction": "outbound"}
    with Hooks("mine", faults=[fault], lab=True) as hooks:
        [(status, body)] = ask(hooks, peer.url, 1, 5.0)
    assert status == 418
    assert '"error": "injected fault"' in body


@every_client
def test_a_cut_connection_is_the_library_s_own_error(ask: Ask, peer: Peer) -> None:
    assert statuses(ask, peer, {"kind": "reset", "target": "mine->things", "first": 1}) == [BROKEN, 200, 200]
    late = {"kind": "reset", "after_bytes": 3, "target": "mine->things", "first": 1}
    assert statuses(ask, peer, late) == [BROKEN, 200, 200]


@every_client
def test_the_caller_s_patience_holds(ask: Ask, peer: Peer) -> None:
    fault = {"kind": "latency", "fixed": "30s", "target": "mine->things", "first": 1}
    begun = time.monotonic()
    assert statuses(ask, peer, fault, patience=0.5) == [LATE, 200, 200]
    assert time.monotonic() - begun < 10


@every_client
def test_latency_is_felt_and_the_answer_is_the_peer_s(ask: Ask, peer: Peer) -> None:
    fault = {"kind": "latency", "fixed": "80ms", "target": "mine->things"}
    with Hooks("mine", faults=[fault], lab=True, peers={"127.0.0.1": "things"}) as hooks:
        begun = time.monotonic()
        assert ask(hooks, peer.url, 2, 5.0) == [(200, f'{{"path":"/things/{n}"}}') for n in range(2)]
        assert time.monotonic() - begun >= 0.16
        assert list(hooks.active.counts().values()) == [(2, 2)]


@every_client
def test_a_body_that_is_corrupt_or_drips(ask: Ask, peer: Peer) -> None:
    corrupt = {"kind": "corrupt", "how": "truncated", "target": "mine->things"}
    slow = {"kind": "slow_body", "rate": "200B", "target": "mine->things"}
    with Hooks("mine", faults=[corrupt, slow], lab=True, peers={"127.0.0.1": "things"}) as hooks:
        begun = time.monotonic()
        [(status, body)] = ask(hooks, peer.url, 1, 5.0)
        assert (status, body) != (200, '{"path":"/things/0"}')
        assert time.monotonic() - begun >= 0.05


@every_client
def test_a_heal_lets_go_of_what_is_held(ask: Ask, peer: Peer, heal_when_held: Any) -> None:
    fault = {"kind": "latency", "fixed": "60s", "target": "mine->things"}
    with Hooks("mine", faults=[fault], lab=True, peers={"127.0.0.1": "things"}) as hooks:
        heal_when_held(hooks)
        begun = time.monotonic()
        assert [status for status, _ in ask(hooks, peer.url, 2, 30.0)] == [200, 200]
        assert time.monotonic() - begun < 20
        assert list(hooks.active.counts().values()) == [(1, 1)]


@every_client
def test_without_a_lab_nothing_happens_and_nothing_is_passed_on(ask: Ask, peer: Peer) -> None:
    fault = {"kind": "error", "target": "mine", "direction": "outbound"}
    with Hooks("mine", faults=[fault]) as hooks:
        assert [status for status, _ in ask(hooks, peer.url, 1, 5.0)] == [200]
        assert hooks.active.counts() == {}
    assert "x-request-id" not in peer.headers[-1]


@pytest.mark.parametrize("client", ["httpx", "aiohttp"])
def test_a_request_s_key_and_marks_travel(client: str, peer: Peer) -> None:
    with Hooks("mine", faults=[{"kind": "latency", "fixed": "1ms", "target": "mine:/"}], lab=True) as hooks:

        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            if client == "httpx":
                async with httpx.AsyncClient(transport=hooks.async_httpx_transport()) as session:
                    await session.get(peer.url)
            else:
                async with aiohttp.ClientSession(middlewares=[hooks.aiohttp_middleware()]) as other:
                    await other.get(peer.url)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(hooks.asgi(app))) as caller:  # type: ignore[arg-type]
                return await caller.get("http://mine/", headers={"x-cloudcart-request-key": "browse/1/1"})

        answer = asyncio.run(ask())
    assert answer.headers["x-cloudcart-fault"] == "mine-1,deep-1", "our own fault, and the one that hit the peer"
    assert peer.headers[-1]["x-cloudcart-request-key"] == "browse/1/1"
