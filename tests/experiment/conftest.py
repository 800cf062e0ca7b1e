"""A lab for the tests of this folder that bring none of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import cloudcart
from cloudcart.lab import Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    settings = {"gateway.rate_limit": "off", "gateway.retries": "off", "gateway.cache": "off"}
    with cloudcart.start(overrides={**settings, "gateway.circuit_breaker": "off"}) as started:
        yield started
