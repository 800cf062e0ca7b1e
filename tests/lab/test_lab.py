"""A running lab: what it says of itself, and what happens when its processes die, stop or are asked to."""

from __future__ import annotations

import os
import signal
import time

import httpx
import psycopg
import pytest

from cloudcart.exceptions import LabError, UsageError
from cloudcart.lab import attach, list_labs, start
from cloudcart.settings import SERVICES


def test_it_says_where_everything_is(lab, alive):
    assert lab.urls.keys() == lab.service_urls.keys() == SERVICES.keys()
    assert all(url.startswith("http://127.0.0.1:") for url in lab.urls.values())
    assert lab.pids.keys() == {*SERVICES, "supervisor", "postgres", "valkey", "broker"}
    assert all(alive(pid) for pid in lab.pids.values())
    assert lab.logins["admin"].username == "admin"
    assert lab.settings.lab
    assert lab.settings.stores.kafka
    assert lab.backend == "embedded"


def test_it_says_where_the_time_went(lab):
    names = [phase.name for phase in lab.phases]
    assert names[0] == "supervisor process"
    assert {"imports", "postgres", "schema", "services started"} < set(names)
    assert names[-1] == "services ready"
    assert lab.seconds == pytest.approx(lab.phases[-1].end, abs=0.001)
    assert all(0 <= phase.start <= phase.end <= lab.seconds + 0.001 for phase in lab.phases)


def test_status(lab):
    status = lab.status()
    assert status.ready
    assert list(status.services) == list(SERVICES)
    assert all(service.pid == lab.pids[name] for name, service in status.services.items())
    assert all(service.pss_bytes > 1e6 for service in status.services.values())
    assert status.pss_bytes < 400 * 2**20
    assert lab.unsteady() == []


def test_a_service_that_is_killed_comes_back_on_its_port(lab, alive, wait_for):
    before = lab.status().services["products"]
    os.kill(before.pid, signal.SIGKILL)
    wait_for(lambda: lab.status().services["products"].restarts == before.restarts + 1)
    lab.wait_ready()
    after = lab.status().services["products"]
    assert after.ready
    assert after.pid != before.pid
    assert lab.pids["products"] == after.pid
    assert all(alive(pid) for pid in lab.pids.values())


def test_kill_by_command(lab, wait_for):
    before = lab.status().services["users"]
    assert lab.control("kill", service="users") == {"pid": before.pid}
    wait_for(lambda: lab.status().services["users"].restarts > before.restarts)
    lab.wait_ready()


def test_a_paused_service_is_not_ready_until_it_goes_on(lab):
    lab.control("pause", service="orders")
    assert not lab.status().services["orders"].ready
    assert lab.unsteady() == ["the service orders was not ready before the run"]
    lab.control("resume", service="orders")
    lab.wait_ready()


def test_a_paused_postgres_answers_nobody_until_it_goes_on(lab, wait_for):
    with psycopg.connect(lab.database_url, autocommit=True) as connection:
        server = connection.pgconn

        def answered() -> bool:
            server.consume_input()
            return not server.is_busy()

        lab.control("pause", service="postgres")
        server.send_query(b"SELECT 1")
        server.flush()
        time.sleep(0.05)  # long enough for a server that is not paused
        assert not answered()
        lab.control("resume", service="postgres")
        wait_for(answered)
        while server.get_result() is not None:
            pass


def test_restart_with_other_settings(lab, wait_for):
    before = lab.status().services["notifications"]
    with pytest.raises(UsageError, match=r"gateway\.nonsense"):
        lab.control("restart", service="notifications", overrides={"gateway.nonsense": 1})
    lab.control("restart", service="notifications", overrides={"notifications.batch": 7})
    wait_for(lambda: lab.status().services["notifications"].restarts == before.restarts + 1)
    lab.wait_ready()
    deployments = 'cloudcart_deployments_total{service="notifications"} 2.0'
    assert deployments in httpx.get(f"{lab.urls['notifications']}/metrics", trust_env=False).text


def test_unknown_commands_and_processes_are_named(lab):
    with pytest.raises(UsageError, match="dance"):
        lab.control("dance")
    with pytest.raises(UsageError, match=r"'basket'.*gateway.*postgres"):
        lab.control("kill", service="basket")
    with pytest.raises(UsageError, match="messages in memory"):
        lab.control("restart", service="broker")


def test_attach_sees_the_same_lab_and_does_not_end_it(lab):
    assert lab.name in list_labs()
    with attach(lab.name) as other:
        assert other.urls == lab.urls
        assert other.logins == lab.logins
        assert other.status().ready
    assert lab.status().ready


def test_attach_to_nothing(lab):
    with pytest.raises(LabError, match=r"no lab 'nothing' is running; running: .*shared"):
        attach("nothing")


def test_everything_listens_on_loopback_alone(lab):
    import psutil

    own = set(lab.pids.values())
    addresses = {c.laddr.ip for c in psutil.net_connections("inet") if c.pid in own and c.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}


def test_the_gateway_lets_the_logins_in(lab):
    for who, login in lab.logins.items():
        answer = httpx.post(f"{lab.urls['gateway']}/api/auth/login", json=login._asdict(), trust_env=False)
        assert answer.status_code == 200, answer.text
        headers = {"authorization": f"Bearer {lab.token(who)}"}
        answer = httpx.get(f"{lab.urls['gateway']}/api/auth/validate", headers=headers, trust_env=False)
        assert answer.json()["user"]["username"] == login.username


def test_prepared_users_are_logged_in(lab):
    users = lab.prepare_users(3)
    assert len({user.username for user in users}) == 3
    headers = {"authorization": f"Bearer {users[0].token}"}
    answer = httpx.get(f"{lab.urls['gateway']}/api/orders/my-orders", headers=headers, trust_env=False)
    assert answer.json() == []


def test_reset_brings_back_the_start(lab, wait_for):
    gateway = lab.urls["gateway"]

    def stock() -> int:
        return httpx.get(f"{gateway}/api/products/1", trust_env=False).json()["stock"]

    lab.reset()
    first = stock()
    headers = {"authorization": f"Bearer {lab.token()}"}
    httpx.patch(f"{gateway}/api/products/1/stock", json={"stock": first + 5}, headers=headers, trust_env=False)
    wait_for(lambda: stock() == first + 5)
    lab.reset()
    assert stock() == first


def test_a_fault_acts_and_is_counted(lab):
    lab.reset()
    url = f"{lab.urls['products']}/products/1"
    with lab.inject("error", target="products", status=503, first=2, ttl="10s") as fault:
        seen = [httpx.get(url, trust_env=False).status_code for _ in range(3)]
        assert seen == [503, 503, 200]
    assert fault.injected == 2
    assert fault.drawn >= 2
    assert httpx.get(url, trust_env=False).status_code == 200
    assert fault.window.seconds > 0
    assert lab.signals(fault.window).errors("products").samples == 3


def test_a_fault_that_somebody_else_heals_keeps_its_window(lab):
    fault = lab.inject("latency", target="products", fixed="10ms", ttl="10s")
    lab.heal()
    end = fault.window.end
    assert end == fault.window.end <= time.time()
    fault.heal()
    assert fault.window.end == end


def test_events_can_be_watched(lab, wait_for):
    lab.reset()
    with lab.tap_events() as tap:
        document = {"username": "tapped", "email": "tapped@example.com", "password": "long enough 1"}
        httpx.post(f"{lab.urls['gateway']}/api/auth/register", json=document, trust_env=False).raise_for_status()
        (event,) = tap.wait_for("user.created")
    assert event.key
    lab.reset()


def test_a_prometheus_that_has_died_is_no_longer_told(prometheus_program, wait_for):
    prometheus_program("prometheus")
    with start(name="charts") as charts:
        url = charts.urls["prometheus"]
        wait_for(lambda: _answers(f"{url}/-/ready"), 30)
        os.kill(charts.pids["prometheus"], signal.SIGKILL)
        wait_for(lambda: "prometheus" not in charts.pids)
        assert "prometheus" not in attach("charts").urls
        assert charts.status().ready


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
