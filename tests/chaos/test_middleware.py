"""The chaos middleware as an ASGI layer: what each fault does to a request; without any, nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import uvicorn

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.middleware import ChaosMiddleware
from cloudcart.faults import parse_fault


def wrap(app: Any, *documents: dict[str, Any], lab: bool = True, seed: int = 7) -> ChaosMiddleware:
    active = ActiveFaults("mine", lab=lab, seed=seed)
    for place, document in enumerate(documents):
        active.add(parse_fault({"target": "mine", **document}, services=None), f"f{place}", ordinal=place)
    return ChaosMiddleware(app, active=active)


def test_servers_see_that_it_is_asgi_3(echo: Any) -> None:
    config = uvicorn.Config(wrap(echo))
    config.load()
    assert config.interface == "asgi3"


def test_without_a_fault_the_application_gets_the_very_same_call(request_to: Any) -> None:
    seen: list[tuple[Any, Any, Any]] = []

    async def app(*arguments: Any) -> None:
        seen.append(arguments)

    scope, receive, send = {"type": "http", "headers": []}, object(), object()
    asyncio.run(wrap(app)(scope, receive, send))  # type: ignore[arg-type]  # they are only handed on
    assert seen == [(scope, receive, send)]


def test_latency_delays_and_forwards(echo: Any, request_to: Any) -> None:
    app = wrap(echo, {"kind": "latency", "fixed": "50ms"})
    answer = asyncio.run(request_to(app, method="POST", body=b"hello"))
    assert (answer.status, answer.body, answer.marks) == (200, b"hello", ["f0"])
    assert answer.seconds >= 0.05


def test_error_answers_with_a_problem_document(echo: Any, request_to: Any) -> None:
    app = wrap(echo, {"kind": "error", "status": 429, "body": "too fast", "retry_after": "2.2s"})
    answer = asyncio.run(request_to(app))
    assert (answer.status, answer.headers["retry-after"], answer.marks) == (429, "2", ["f0"])
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert json.loads(answer.body)["error"] == "too fast"
    assert "x-app" not in answer.headers


def test_a_head_request_gets_no_body(echo: Any, request_to: Any) -> None:
    assert asyncio.run(request_to(wrap(echo, {"kind": "error"}), method="HEAD")).body == b""


def test_a_status_that_no_standard_names(echo: Any, request_to: Any) -> None:
    assert asyncio.run(request_to(wrap(echo, {"kind": "error", "status": 599}))).status == 599


def test_timeout_is_silent_and_then_504(echo: Any, request_to: Any) -> None:
    answer = asyncio.run(request_to(wrap(echo, {"kind": "timeout", "after": "30ms"})))
    assert (answer.status, answer.marks) == (504, ["f0"])
    assert answer.seconds >= 0.03


def test_several_faults_hit_one_request_in_their_order(echo: Any, request_to: Any) -> None:
    app = wrap(echo, {"kind": "latency", "fixed": "20ms"}, {"kind": "error"}, {"kind": "latency", "fixed": "10s"})
    answer = asyncio.run(request_to(app))
    assert (answer.status, answer.marks) == (503, ["f0", "f1"])
    assert answer.seconds >= 0.02
    assert app.active.counts() == {"f0": (1, 1), "f1": (1, 1), "f2": (0, 0)}, "the error kept it from the last one"


def test_each_of_several_faults_draws_for_itself(echo: Any, request_to: Any) -> None:
    half = {"kind": "latency", "fixed": "0s", "probability": 0.5}

    async def marks() -> set[tuple[str, ...]]:
        app = wrap(echo, half, half)
        return {tuple((await request_to(app, key=f"k{n}")).marks) for n in range(60)}

    assert asyncio.run(marks()) == {(), ("f0",), ("f1",), ("f0", "f1")}


def hit_keys(app: ChaosMiddleware, request_to: Any, connections: int, requests: int = 300) -> set[str]:
    async def all_of_them() -> set[str]:
        keys = iter([f"checkout/{n}/2" for n in range(requests)])
        hit: set[str] = set()

        async def connection() -> None:
            for key in keys:
                if (await request_to(app, key=key)).marks:
                    hit.add(key)
                await asyncio.sleep(0)

        await asyncio.gather(*(connection() for _ in range(connections)))
        return hit

    return asyncio.run(all_of_them())


def test_the_same_seed_hits_the_same_requests_whatever_the_concurrency(echo: Any, request_to: Any) -> None:
    documents = (
        {"kind": "latency", "min": "0ms", "max": "2ms", "probability": 0.3},
        {"kind": "error", "probability": 0.2},
    )
    alone, again, many = [hit_keys(wrap(echo, *documents), request_to, n) for n in (1, 1, 64)]
    assert alone == again == many
    assert 0 < len(alone) < 300
    assert hit_keys(wrap(echo, *documents, seed=8), request_to, 1) != alone


def test_the_error_ratio_is_the_probability(echo: Any, request_to: Any) -> None:
    app = wrap(echo, {"kind": "error", "probability": 0.1})
    hit = hit_keys(app, request_to, 8, requests=10_000)
    assert abs(len(hit) / 10_000 - 0.1) < 0.0132  # 4.4 standard deviations of a binomial share
    assert app.active.counts()["f0"] == (10_000, len(hit))


def test_first_n_are_hit_also_when_they_come_together(echo: Any, request_to: Any) -> None:
    app = wrap(echo, {"kind": "error", "first": 20})
    assert len(hit_keys(app, request_to, 32)) == 20


def test_max_active_under_concurrency(echo: Any, request_to: Any) -> None:
    async def many() -> list[Any]:
        app = wrap(echo, {"kind": "latency", "fixed": "30ms", "max_active": 3})
        return await asyncio.gather(*(request_to(app) for _ in range(10)))

    assert sum(bool(answer.marks) for answer in asyncio.run(many())) == 3


def test_a_client_that_hangs_up_during_a_delay_leaves_nothing_behind(request_to: Any) -> None:
    served: list[str] = []

    async def app(*_: Any) -> None:
        served.append("application")

    async def hang_up() -> set[Any]:
        gone = asyncio.Event()
        chaos = wrap(app, {"kind": "latency", "fixed": "1h"})
        request = asyncio.create_task(request_to(chaos, gone=gone))
        await until(lambda: bool(chaos.active.records()[0].waiting))
        gone.set()
        await asyncio.wait_for(request, 5)
        record = chaos.active.records()[0]
        assert (record.in_flight, record.injected, len(record.waiting)) == (0, 1, 0)
        await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(hang_up()) == set()
    assert served == []


def test_a_cancelled_request_leaves_nothing_behind(echo: Any, request_to: Any) -> None:
    async def cancel() -> set[Any]:
        chaos = wrap(echo, {"kind": "latency", "fixed": "1h"})
        request = asyncio.create_task(request_to(chaos))
        await until(lambda: bool(chaos.active.records()[0].waiting))
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        assert chaos.active.records()[0].in_flight == 0
        await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(cancel()) == set()


@pytest.mark.parametrize(
    ("document", "status"), [({"kind": "latency", "fixed": "1h"}, 200), ({"kind": "timeout", "after": "300s"}, 504)]
)
def test_healing_lets_go_of_what_is_held_back(echo: Any, request_to: Any, document: Any, status: int) -> None:
    async def heal() -> Any:
        chaos = wrap(echo, document)
        request = asyncio.create_task(request_to(chaos))
        await until(lambda: bool(chaos.active.records()[0].waiting))
        chaos.active.remove("f0")
        return await asyncio.wait_for(request, 5)

    answer = asyncio.run(heal())
    assert (answer.status, answer.marks) == (status, ["f0"])


def test_the_end_of_a_fault_cuts_its_delays_short(echo: Any, request_to: Any) -> None:
    app = wrap(echo, {"kind": "latency", "fixed": "1h", "ttl": "50ms"})
    assert asyncio.run(asyncio.wait_for(request_to(app), 5)).status == 200


def test_a_body_in_pieces_survives_a_delay(request_to: Any) -> None:
    pieces = [b"a" * 1000] * 5
    got: list[bytes] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while True:
            message = await receive()
            got.append(message.get("body", b""))
            if not message.get("more_body"):
                return

    async def upload() -> None:
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def write() -> None:
            for place, piece in enumerate(pieces):
                await asyncio.sleep(0.005)
                queue.put_nowait({"type": "http.request", "body": piece, "more_body": place < len(pieces) - 1})

        scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
        chaos = wrap(app, {"kind": "latency", "fixed": "12ms"})
        await asyncio.gather(chaos(scope, queue.get, None), write())  # type: ignore[arg-type]  # nothing is sent

    asyncio.run(upload())
    assert got == pieces


def test_websockets_and_lifespan_pass(request_to: Any) -> None:
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    chaos = wrap(app, {"kind": "error"})
    for kind in ("lifespan", "websocket"):
        asyncio.run(chaos({"type": kind}, None, None))  # type: ignore[arg-type]  # they are only handed on
    assert seen == ["lifespan", "websocket"]


def test_marks_of_a_service_further_down_are_kept_and_named_once(request_to: Any) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        from cloudcart.telemetry.context import current

        context = current.get()
        assert context is not None
        context.marks.append("deep")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-CloudCart-Fault", b"deep")]})
        await send({"type": "http.response.body", "body": b""})

    app_under_chaos = wrap(app, {"kind": "latency", "fixed": "0s"})
    assert asyncio.run(request_to(app_under_chaos)).marks == ["f0", "deep"]


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of the test
            await asyncio.sleep(0.001)
