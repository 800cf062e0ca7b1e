"""``cloudcart check-invariants`` on a running lab: what it prints, its exit codes, that it finds what is broken."""

from __future__ import annotations

import json

import httpx
import psycopg
import pytest


@pytest.fixture(scope="module")
def lab(cloudcart):
    started = cloudcart.json("up", "--detach", "--free-ports", "--name", "checked", "--set", "gateway.rate_limit=off")
    yield started
    assert cloudcart("down", "--name", "checked").returncode == 0


@pytest.fixture
def database(cloudcart, lab, monkeypatch):
    """The shop's database as its administrator."""
    from cloudcart.lab import attach
    from cloudcart.lab.directory import STATE_DIR

    monkeypatch.setenv(STATE_DIR, str(cloudcart.state / "labs"))
    with psycopg.connect(attach("checked").database_url, autocommit=True) as connection:
        yield connection


def test_a_shop_in_use_keeps_its_invariants(cloudcart, lab):
    with httpx.Client(base_url=lab["urls"]["gateway"], timeout=10) as client:
        token = client.post("/api/auth/login", json=lab["logins"]["demo"]).json()["token"]
        client.headers["authorization"] = f"Bearer {token}"
        for move in ("paid", "cancelled"):
            order = client.post("/api/orders", json={"items": [{"product_id": 1, "quantity": 1}]}).json()["id"]
            assert client.post(f"/api/orders/{order}/pay", json={"payment_method": "card"}).status_code == 200
            if move == "cancelled":
                client.patch(f"/api/orders/{order}/status", json={"status": move}).raise_for_status()
    document = cloudcart.json("check-invariants", "--name", "checked")
    assert document["verdict"] == "pass"
    assert len(document["invariants"]) >= 4
    assert {"name", "verdict", "detail"} == document["invariants"][0].keys()
    assert {each["verdict"] for each in document["invariants"]} == {"pass"}
    said = cloudcart("check-invariants", "--name", "checked")
    assert said.returncode == 0
    assert "every paid order was paid once" in said.stdout


def test_after_a_reset_it_begins_anew(cloudcart, lab):
    assert cloudcart("reset", "--name", "checked").returncode == 0
    assert cloudcart.json("check-invariants", "--name", "checked")["verdict"] == "pass"


def test_stock_that_was_made_up_is_found(cloudcart, database):
    database.execute("UPDATE products.products SET stock = stock + 1 WHERE id = 3")
    done = cloudcart("check-invariants", "--name", "checked", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["verdict"] == "fail"
    (broken,) = (each for each in document["invariants"] if each["verdict"] == "fail")
    assert "product 3" in broken["detail"]
    database.execute("UPDATE products.products SET stock = stock - 1 WHERE id = 3")


def test_without_a_lab_it_says_so(cloudcart, lab):
    done = cloudcart("check-invariants", "--name", "nothing")
    assert done.returncode == 4
    assert "nothing" in done.stderr
