"""Faults on calls from one service to another, as the caller feels them."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

import pytest

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.outbound import may_act, outbound
from cloudcart.exceptions import UpstreamBrokenError
from cloudcart.faults import parse_fault
from cloudcart.telemetry.context import RequestContext, current


class Reply(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def active_with(**fields: Any) -> ActiveFaults:
    active = ActiveFaults("gateway", lab=True)
    active.add(parse_fault({"kind": "error", "target": "gateway->products", **fields}), "f")
    return active


async def call(active: ActiveFaults, peer: str = "products", key: str = "", served: list[str] | None = None) -> Any:
    served = [] if served is None else served

    async def send() -> Reply:
        served.append(key)
        return Reply(200, [(b"content-length", b"6")], b"served")

    headers = [(b"x-cloudcart-request-key", key.encode())] if key else []
    return await outbound(active, peer=peer, method="GET", route="/products", headers=headers, call=send, answer=Reply)


def test_a_fault_on_a_link_between_services_answers_the_caller() -> None:
    active = active_with(status=502)
    status, headers, body = asyncio.run(call(active))
    assert status == 502
    assert (b"content-length", str(len(body)).encode()) in headers
    assert asyncio.run(call(active, peer="orders"))[0] == 200


def test_each_attempt_draws_for_itself_by_its_key() -> None:
    active = active_with(probability=0.5)

    async def attempts() -> list[bool]:
        return [(await call(active, key=f"k/1/r{n}"))[0] == 503 for n in range(40)]

    first = asyncio.run(attempts())
    assert first == asyncio.run(attempts())
    assert set(first) == {True, False}


def test_the_caller_s_time_out_runs_during_an_injected_delay() -> None:
    active = ActiveFaults("gateway", lab=True)
    active.add(parse_fault({"kind": "latency", "target": "gateway", "direction": "outbound", "fixed": "1h"}), "f")

    async def impatient() -> int:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call(active), 0.02)
        return active.records()[0].in_flight

    assert asyncio.run(impatient()) == 0


def test_hits_are_noted_in_the_request_that_the_call_is_made_for() -> None:
    async def serve() -> list[str]:
        current.set(context := RequestContext("id", "", inject="latency;fixed=0s;target=gateway->products"))
        assert may_act(ActiveFaults("gateway", lab=True)), "the request brings its own fault"
        await call(active_with())
        return context.marks

    assert asyncio.run(serve())[0] == "f"


def test_nothing_to_do_without_faults() -> None:
    assert not may_act(ActiveFaults("gateway", lab=True))


@pytest.mark.parametrize(("after_bytes", "served_calls"), [(None, 0), (0, 1)])
def test_a_cut_call_is_broken_and_may_have_had_its_effect(after_bytes: int | None, served_calls: int) -> None:
    active, served = active_with(kind="reset", after_bytes=after_bytes), list[str]()
    with pytest.raises(UpstreamBrokenError):
        asyncio.run(call(active, served=served))
    assert (len(served), active.counts()["f"]) == (served_calls, (1, 1))


def test_the_answer_to_a_call_drips() -> None:
    begun = time.perf_counter()
    assert asyncio.run(call(active_with(kind="slow_body", rate=100))).body == b"served"
    assert time.perf_counter() - begun >= 0.06


def test_the_answer_to_a_call_is_corrupted_and_its_length_fits() -> None:
    reply = asyncio.run(call(active_with(kind="corrupt", how="truncated")))
    assert reply == Reply(200, [(b"content-length", b"3")], b"ser")
