"""A release with a bug: which requests fail, which never do, and that a good one has no such layer."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from cloudcart.services.assemble import assemble
from cloudcart.settings import Settings
from cloudcart.telemetry.metrics import Telemetry


def statuses(share: float, *paths: str, seed: int = 0, keys: bool = True) -> list[int]:
    """Ask an application of such a release for each path; return the statuses."""
    app = FastAPI(openapi_url=None)

    @app.get("/things/{thing_id}")
    @app.get("/internal/reset")
    async def show(thing_id: int = 0) -> int:
        return thing_id

    settings = Settings(lab=True, log_level="error").with_overrides({"release.failing": share, "release.seed": seed})
    stack = assemble("products", app, settings, Telemetry("products"))

    async def run() -> list[int]:
        transport = httpx.ASGITransport(stack)
        async with httpx.AsyncClient(transport=transport, base_url="http://products") as http:
            found = []
            for number, path in enumerate(paths):
                headers = {"x-cloudcart-request-key": f"browse/{number}/1"} if keys else {}
                answer = await http.get(path, headers=headers)
                assert "x-cloudcart-fault" not in answer.headers
                found.append(answer.status_code)
            return found

    return asyncio.run(run())


@pytest.mark.parametrize("keys", [True, False])
def test_the_share_of_requests_that_fails_is_drawn_by_seed_and_key(keys: bool) -> None:
    many = ["/things/7"] * 300
    first = statuses(0.3, *many, keys=keys)
    assert 60 < first.count(500) < 120
    assert set(first) == {200, 500}
    assert statuses(0.3, *many, keys=keys) == first
    assert statuses(0.3, *many, keys=keys, seed=1) != first


def test_a_good_release_fails_nothing_and_a_wholly_bad_one_everything_but_what_operators_need() -> None:
    paths = ("/things/7", "/health", "/ready", "/metrics", "/internal/reset")
    assert statuses(0, *paths) == [200] * 5
    assert statuses(1, *paths) == [500, 200, 200, 200, 200]
