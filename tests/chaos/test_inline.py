"""A request that carries its own fault, in a header, in a lab."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.inline import parse_header
from cloudcart.chaos.middleware import ChaosMiddleware
from cloudcart.exceptions import FaultError

HEADER = "X-CloudCart-Inject"


def app_in(lab: bool, echo: Any, service: str = "products") -> ChaosMiddleware:
    return ChaosMiddleware(echo, active=ActiveFaults(service, lab=lab))


def test_the_header_s_form() -> None:
    latency, error = parse_header(
        "latency; median=200ms; target=products, error;status=500;target=orders;probability=5%"
    )
    assert (latency.label, error.label, error.probability) == ("+200ms on products", "500 on orders", 0.05)


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "latency",
        "latency;median",
        "error;status=200;target=products",
        ";;",
        "pause;target=products",
        "link_down;target=products->postgres",
    ],
)
def test_a_header_that_makes_no_sense_is_refused_with_a_sentence(text: str, echo: Any, request_to: Any) -> None:
    with pytest.raises(FaultError):
        parse_header(text)
    answer = asyncio.run(request_to(app_in(True, echo), headers={HEADER: text}))
    assert answer.status == 400


def test_one_request_carries_its_own_fault(echo: Any, request_to: Any) -> None:
    app = app_in(True, echo)

    async def requests() -> list[int]:
        header = {HEADER: "error;status=418;target=products"}
        return [(await request_to(app, headers=h)).status for h in (header, {}, header)]

    assert asyncio.run(requests()) == [418, 200, 418]
    (record,) = app.active.history()
    assert (record.drawn, record.injected) == (2, 2)


def test_what_differs_in_anything_is_counted_apart_and_what_is_the_same_together(echo: Any, request_to: Any) -> None:
    app = app_in(True, echo)
    certain, likely = "error;target=products", "error;target=products;probability=0.999999"

    async def requests() -> None:
        for text in (certain, likely, f"{certain},", likely):
            await request_to(app, headers={HEADER: text})

    asyncio.run(requests())
    assert sorted(app.active.counts().values()) == [(2, 2), (2, 2)]
    assert app.active.effects.errors == 4


def test_it_acts_at_its_target_only(echo: Any, request_to: Any) -> None:
    header = {HEADER: "error;target=products"}
    assert asyncio.run(request_to(app_in(True, echo, "orders"), headers=header)).status == 200


def test_outside_a_lab_it_is_ignored(echo: Any, request_to: Any) -> None:
    for text in ("error;target=products", "nonsense"):
        assert asyncio.run(request_to(app_in(False, echo), headers={HEADER: text})).status == 200
