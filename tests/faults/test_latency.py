"""The distributions of a delay, and that a delay is what was drawn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.faults import Latency, parse_fault


def latency(**fields: Any) -> Latency:
    fault = parse_fault({"kind": "latency", "target": "products", **fields})
    assert isinstance(fault, Latency)
    return fault


@pytest.mark.parametrize(
    ("fields", "quantiles"),
    [
        ({"fixed": "80ms"}, {0.0: 0.08, 0.5: 0.08, 0.999: 0.08}),
        ({"min": "1s", "max": "3s"}, {0.0: 1.0, 0.5: 2.0, 0.25: 1.5}),
        ({"mean": "100ms", "stddev": "10ms"}, {0.5: 0.1, 0.8413447: 0.11, 0.0: 0.03}),
        ({"median": "80ms", "p99": "900ms"}, {0.5: 0.08, 0.99: 0.9}),
        ({"median": "200ms"}, {0.01: 0.2, 0.5: 0.2, 0.99: 0.2}),
        ({"mean": "1ms", "stddev": "1s"}, {0.1: 0.0}),
    ],
)
def test_quantiles(fields: dict[str, Any], quantiles: dict[float, float]) -> None:
    fault = latency(**fields)
    for share, seconds in quantiles.items():
        assert fault.quantile(share) == pytest.approx(seconds, abs=1e-3)


@given(st.floats(1e-3, 5), st.floats(1, 20), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_greater_draw_is_a_longer_delay(median: float, factor: float, one: float, other: float) -> None:
    fault = latency(median=median, p99=median * factor)
    low, high = sorted((one, other))
    assert 0 <= fault.quantile(low) <= fault.quantile(high)


def test_it_delays_by_its_draw_and_forwards() -> None:
    steps: list[tuple[str, float]] = []

    class Exchange:
        def draw(self, number: int) -> float:
            assert number == 1
            return 0.25

        async def delay(self, seconds: float) -> None:
            steps.append(("delay", seconds))

        async def forward(self) -> None:
            steps.append(("forward", 0.0))

        async def answer(self, *_: Any) -> None:
            raise AssertionError

    asyncio.run(latency(min="0s", max="100ms").act(Exchange()))
    assert steps == [("delay", 0.025), ("forward", 0.0)]
