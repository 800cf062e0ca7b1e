"""Commands on a running lab, as processes: what they print, what they refuse, that nothing is left."""

from __future__ import annotations

import json
import os
import signal

import httpx
import pytest

SERVICES = ["gateway", "users", "products", "orders", "chaos", "notifications"]


@pytest.fixture(scope="module")
def lab(cloudcart):
    """A lab that is up, as ``up --json`` describes it."""
    started = cloudcart.json("up", "--detach", "--free-ports", "--name", "shop", "--set", "gateway.rate_limit=off")
    yield started
    assert cloudcart("down", "--name", "shop").returncode == 0


def test_up_prints_the_contract(lab):
    assert lab["name"] == "shop"
    assert lab["state"] == "ready"
    assert lab["backend"] == "embedded"
    assert lab["seconds"] > 0
    assert lab["version"]
    assert set(SERVICES) <= lab["urls"].keys()
    assert {"supervisor", *SERVICES} <= lab["pids"].keys()
    assert {"admin", "demo"} == lab["logins"].keys()
    for login in lab["logins"].values():
        answer = httpx.post(f"{lab['urls']['gateway']}/api/auth/login", json=login, timeout=10)
        assert answer.status_code == 200


def test_status_is_the_same_with_services(cloudcart, lab):
    status = cloudcart.json("status", "--name", "shop")
    services = status.pop("services")
    assert {name: status[name] for name in lab if name != "pids"} == {name: lab[name] for name in lab if name != "pids"}
    assert list(services) == SERVICES
    for name, service in services.items():
        assert service["ready"] is True
        assert service["pid"] == status["pids"][name]
        assert service["pss_bytes"] > 1_000_000
        assert service["restarts"] >= 0


def test_status_for_people(cloudcart, lab):
    text = cloudcart("status", "--name", "shop").stdout
    for said in (*SERVICES, lab["urls"]["gateway"], lab["logins"]["demo"]["password"], "ready", "MiB"):
        assert said in text


def test_inject_acts_and_heal_ends_it(cloudcart, lab):
    arguments = ("--target", "products", "--param", "status=503", "--ttl", "60s", "--seed", "7", "--name", "shop")
    fault = cloudcart.json("inject", "error", *arguments)
    assert (fault["kind"], fault["target"], fault["ttl"], fault["seed"]) == ("error", "products", "60s", 7)
    product = f"{lab['urls']['products']}/products/1"
    assert httpx.get(product, timeout=10).status_code == 503
    assert f"{fault['id']}: 503 on products" in cloudcart("status", "--name", "shop").stdout

    done = cloudcart("heal", fault["id"], "--name", "shop")
    assert done.returncode == 0
    assert fault["id"] in done.stdout
    assert httpx.get(product, timeout=10).status_code == 200
    assert cloudcart("heal", fault["id"], "--name", "shop").returncode == 0, "healing twice is the same as once"


def test_heal_all(cloudcart, lab):
    cloudcart.json("inject", "latency", "--target", "users", "--param", "fixed=1ms", "--name", "shop")
    assert len(cloudcart.json("heal", "--all", "--name", "shop")) == 1
    assert cloudcart("heal", "--all", "--name", "shop").stdout == "no fault was active\n"


def test_inject_for_people_says_how_to_end_it(cloudcart, lab):
    text = cloudcart("inject", "latency", "--target", "users", "--param", "fixed=1ms", "--name", "shop").stdout
    assert "+1ms on users, ends by itself after 60s; end it now: cloudcart heal latency-" in text
    assert text.endswith(" --name shop\n")


def test_a_route_that_no_service_has_is_refused(cloudcart, lab):
    done = cloudcart("inject", "error", "--target", "products:/nowhere", "--name", "shop")
    assert done.returncode == 2
    assert "/nowhere" in done.stderr


def test_no_such_fault_to_heal(cloudcart, lab):
    done = cloudcart("heal", "gremlin", "--name", "shop")
    assert done.returncode == 2
    assert done.stderr == "Error: lab 'shop' never had a fault 'gremlin'; 'cloudcart status' shows those that act\n"


def test_reset(cloudcart, lab):
    cloudcart.json("inject", "latency", "--target", "users", "--param", "fixed=1ms", "--name", "shop")
    done = cloudcart("reset", "--name", "shop")
    assert done.returncode == 0, done.stderr
    assert cloudcart("heal", "--name", "shop").stdout == "no fault was active\n"


def test_logs_of_one_service_are_json_lines(cloudcart, lab):
    lines = cloudcart("logs", "orders", "-n", "3", "--name", "shop").stdout.splitlines()
    assert 1 <= len(lines) <= 3
    assert all(json.loads(line)["service"] == "orders" for line in lines)


def test_logs_of_all_name_their_process(cloudcart, lab):
    lines = cloudcart("logs", "-n", "1", "--name", "shop").stdout.splitlines()
    assert {"orders", "postgres", "supervisor"} - {line.split()[0] for line in lines} <= {"supervisor"}


def test_logs_of_nobody(cloudcart, lab):
    done = cloudcart("logs", "order", "--name", "shop")
    assert done.returncode == 2
    assert "there is no log of 'order'; choose one of" in done.stderr


def test_a_name_that_is_taken(cloudcart, lab):
    done = cloudcart("up", "--free-ports", "--name", "shop")
    assert done.returncode == 4
    assert "lab 'shop' is running already; end it with 'cloudcart down --name shop'" in done.stderr
    os.kill(lab["pids"]["supervisor"], 0)


@pytest.mark.parametrize("command", [["status"], ["down"], ["logs"], ["reset"], ["heal"]])
def test_a_name_that_nobody_has(cloudcart, lab, command):
    done = cloudcart(*command, "--name", "shpo")
    assert done.returncode == 4
    assert done.stderr == "Error: no lab 'shpo' is running; running: shop\n"
    assert done.stdout == ""


def test_down_takes_a_name_or_all(cloudcart, lab):
    assert cloudcart("down", "--name", "shop", "--all").returncode == 2


def test_a_service_that_dies_is_seen_and_comes_back(cloudcart, lab):
    before = cloudcart.json("status", "--name", "shop")["services"]["users"]
    os.kill(before["pid"], signal.SIGKILL)
    deadline_tries = 100
    for _ in range(deadline_tries):
        after = cloudcart.json("status", "--name", "shop")["services"]["users"]
        if after["ready"] and after["pid"] != before["pid"]:
            break
    assert after["restarts"] == before["restarts"] + 1
    assert after["ready"]
