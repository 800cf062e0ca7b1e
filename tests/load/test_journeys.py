"""Every shipped journey does on the real shop what it is for, without an error and without a surprise."""

from __future__ import annotations

import pytest

from cloudcart import lab
from cloudcart.load import LoadProfile, list_journeys, start_load

LAST_STEP = {
    "admin": "GET /api/orders/{id}",
    "browse": "GET /api/products/{id}",
    "checkout": "GET /api/orders/my-orders",
    "mixed": "GET /api/notifications",
    "persistent": "POST /api/orders/{id}/pay",
    "register": "GET /api/products",
    "rush": "POST /api/orders/{id}/pay",
    "storm": "GET /api/products",
    "tracking": "GET /api/notifications",
}


@pytest.fixture(scope="module")
def shop():
    with lab.start(overrides={"gateway.rate_limit": "off"}) as running:
        yield running


@pytest.mark.parametrize("name", list_journeys())
def test_a_shipped_journey_runs_clean(shop, name, tmp_path):
    profile = LoadProfile(journey=name, rate=5, duration="1s")
    users, token = shop.prepare_users(profile.users_needed), shop.token("admin")
    with start_load(profile, host=shop.urls["gateway"], users=users, admin_token=token, folder=tmp_path) as load:
        load.wait_for_traffic()
        load.wait()
    rows = load.rows()
    assert set(rows["error"]) == {""}
    assert all(200 <= status < 300 for status in rows["status"])
    assert LAST_STEP[name] in rows["name"]
    assert load.doubts == []
    assert load.report.arrivals == 5
