"""Whatever dies, hangs or jumps, every fault is gone after its time to live or the lease, whichever is first.

One fault of each place acts at once; what still acts is asked of the processes themselves, since the control plane may
be gone: signals, locks, metrics, answers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import psycopg
import pytest

from cloudcart.chaos.client import ControlPlane
from cloudcart.lab import Lab, start
from cloudcart.lab.readiness import ready_services

LEASE: Final = 2.0
SILENCE: Final = 5.0  # seconds after which PostgreSQL and the supervisor let go of what a silent control plane holds
SPARE: Final = 15.0  # seconds for a busy machine, and for services to start
LINK_DELAY: Final = 0.4
DOCUMENTS: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "error", "target": "orders"},
    {"kind": "memory_leak", "target": "orders", "limit": "20MiB"},
    {"kind": "publish_fail", "target": "orders"},
    {"kind": "redis_slow", "target": "gateway", "delay": "300ms"},
    {"kind": "link_latency", "target": "products->postgres", "latency": f"{LINK_DELAY}s"},
    {"kind": "db_pool_drain", "target": "products", "share": 0.5},
    {"kind": "db_lock", "target": "orders", "table": "orders"},
    {"kind": "bad_deploy", "target": "users", "share": 1},
    {"kind": "broker_pause", "target": "kafka"},
    {"kind": "pause", "target": "notifications"},
)

INJECTOR: Final = """
import json, signal, sys
from cloudcart.lab import attach
lab = attach(sys.argv[1])
for document in json.loads(sys.argv[2]):
    lab.chaos.inject(document)
print("injected", flush=True)
signal.pause()
"""

CLOCK: Final = """
import datetime, os, time
from pathlib import Path
path, true_time, true_ns = Path(os.environ["TEST_CLOCK"]), time.time, time.time_ns

def shift():
    return float(path.read_text() or 0)

class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(true_time() + shift(), tz)

time.time = lambda: true_time() + shift()
time.time_ns = lambda: true_ns() + int(shift() * 1e9)
datetime.datetime = Jumping
"""


@pytest.fixture(scope="module")
def links(state: Path) -> Iterator[Lab]:
    """A lab in which faults of every place can act, with a short lease."""
    with start(name="crash", overrides={"chaos.links": "on", "chaos.lease": f"{LEASE}s"}, prometheus=False) as running:
        yield running


@pytest.fixture
def lab(links: Lab) -> Iterator[Lab]:
    """The same, with nothing broken before and after."""
    links.reset()
    assert still_broken(links) == []
    yield links
    links.reset()


def get(lab: Lab, service: str, path: str) -> httpx.Response:
    return httpx.get(lab.urls[service] + path, trust_env=False, timeout=5.0)


def still_broken(lab: Lab) -> list[str]:
    """Return what still acts, each as a sentence, without asking the control plane."""
    stopped = [name for name, pid in lab.pids.items() if name != "chaos" and is_stopped(pid)]
    if stopped:
        return [f"{name} is stopped" for name in stopped]
    ports = {name: int(url.rpartition(":")[2]) for name, url in lab.service_urls.items() if name != "chaos"}
    addresses = {name: ("127.0.0.1", port) for name, port in ports.items()}
    if missing := ports.keys() - ready_services(addresses, 1.0):
        return [f"{name} is not ready" for name in missing]
    try:
        return what_acts(lab, ports)
    except httpx.TransportError as error:  # a service was told to end since it said that it was ready
        return [f"a service does not answer: {error!r}"]


def what_acts(lab: Lab, services: Iterable[str]) -> list[str]:
    """Return what acts in services that run, each as a sentence."""
    found = [f"a fault is active in {name}" for name in services if is_active(lab, name)]
    found += [f"table {name} is locked" for name in locked_tables(lab)]
    if get(lab, "users", "/auth/jwks").status_code == 500:
        found.append("the bad release of users runs")
    if get(lab, "products", "/products/1").elapsed.total_seconds() >= LINK_DELAY:
        found.append("the link to PostgreSQL is slow")
    return found


def is_stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def is_active(lab: Lab, service: str) -> bool:
    return "\nchaos_faults_active{" in get(lab, service, "/metrics").text


def locked_tables(lab: Lab) -> list[str]:
    with psycopg.connect(lab.database_url, autocommit=True) as connection:
        locks = (
            "SELECT relation::regclass::text FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL"
        )
        return [name for (name,) in connection.execute(locks).fetchall()]


def inject_all(chaos: ControlPlane, ttl: str) -> None:
    for document in DOCUMENTS:
        chaos.inject({**document, "ttl": ttl})


def wait_until(condition: Callable[[], object], seconds: float, said: Callable[[], object] = lambda: "") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not so within {seconds:g} s: {said()}"
        time.sleep(0.02)


def gone_within(lab: Lab, seconds: float) -> None:
    wait_until(lambda: not still_broken(lab), seconds, lambda: still_broken(lab))


def test_what_acts_is_seen(lab: Lab) -> None:
    """Else the other tests would prove nothing."""
    for document in DOCUMENTS:
        if document["kind"] not in ("pause", "broker_pause"):
            lab.chaos.inject({**document, "ttl": "60s"})
    active = {f"a fault is active in {name}" for name in ("gateway", "products", "orders")}
    elsewhere = {"table orders.orders is locked", "the bad release of users runs", "the link to PostgreSQL is slow"}
    wait_until(lambda: set(still_broken(lab)) == active | elsewhere, SPARE, lambda: still_broken(lab))


def test_when_the_control_plane_is_killed_everything_ends(lab: Lab) -> None:
    inject_all(lab.chaos, "60s")
    assert len(still_broken(lab)) >= 2, "the broker and notifications are stopped"
    os.kill(lab.pids["chaos"], signal.SIGKILL)
    gone_within(lab, max(LEASE, SILENCE) + SPARE)


def test_when_the_control_plane_hangs_everything_ends_with_the_lease(lab: Lab) -> None:
    inject_all(lab.chaos, "60s")
    lab.control("pause", service="chaos")
    try:
        gone_within(lab, max(LEASE, SILENCE) + SPARE)
    finally:
        lab.control("resume", service="chaos")


def test_when_who_injected_is_killed_everything_ends_with_its_time_to_live(lab: Lab) -> None:
    ttl = 4.0
    documents = json.dumps([{**document, "ttl": f"{ttl}s"} for document in DOCUMENTS])
    command = [sys.executable, "-c", INJECTOR, lab.name, documents]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as injector:
        assert injector.stdout is not None
        assert injector.stdout.readline() == "injected\n"
        assert still_broken(lab)
        injector.kill()
    gone_within(lab, ttl + SPARE)
    assert {fault["state"] for fault in lab.chaos.faults()[-len(DOCUMENTS) :]} == {"expired"}


def test_faults_come_and_go_while_every_store_is_gone(lab: Lab) -> None:
    admin = {"authorization": f"Bearer {lab.token()}"}
    lab.control("kill", service="valkey")
    for store in ("broker", "postgres"):
        lab.control("pause", service=store)
    try:
        fault = lab.chaos.inject({"kind": "error", "target": "products", "status": 503, "ttl": "30s"})
        assert get(lab, "products", "/products/1").status_code == 503
        changed = lab.chaos.change(fault["id"], {"status": 502})
        assert (changed["status"], get(lab, "products", "/products/1").status_code) == (502, 502)
        assert fault["id"] in [known["id"] for known in lab.chaos.faults() if known["state"] == "active"]
        through_gateway = httpx.get(
            f"{lab.urls['gateway']}/api/chaos/faults", headers=admin, trust_env=False, timeout=5
        )
        assert fault["id"] in through_gateway.text
        healed = lab.chaos.heal(fault["id"])
        assert (healed["state"], healed["injected"], healed["waiting_for"]) == ("healed", 2, [])
    finally:
        for store in ("broker", "postgres"):
            lab.control("resume", service=store)
        lab.control("restart", service="valkey")


def test_nothing_stays_stopped_when_the_supervisor_is_killed(state: Path) -> None:
    lab = start(name="headless", prometheus=False)
    lab.chaos.inject({"kind": "pause", "target": "orders"})
    lab.chaos.inject({"kind": "broker_pause", "target": "kafka"})
    pids = lab.pids
    wait_until(lambda: is_stopped(pids["orders"]) and is_stopped(pids["broker"]), SPARE)
    os.kill(pids["supervisor"], signal.SIGKILL)
    wait_until(lambda: not any(is_running(pid) for pid in pids.values()), SPARE)
    lab.close()


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_times_to_live_do_not_depend_on_the_wall_clock(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process of the lab sees the machine's time jump by a day, ahead and back, while a fault is active."""
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    clock = tmp_path / "clock"
    clock.write_text("0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TEST_CLOCK", str(clock))
    with start(name="jumping", prometheus=False) as lab:
        bearer = {"authorization": f"Bearer {lab.token('demo')}"}
        url = lab.urls["orders"] + "/orders/my-orders"
        chaos = ControlPlane(lab.urls["chaos"])  # a token made here would be out of date there
        for jump in (30 * 3600, -30 * 3600):
            ttl, begun = 2.0, time.monotonic()
            fault = chaos.inject({"kind": "error", "target": "products", "ttl": f"{ttl}s"})
            clock.write_text(str(jump))
            assert httpx.get(url, headers=bearer, trust_env=False).status_code == 401, "the clock has jumped"
            assert get(lab, "products", "/products/1").status_code == 503
            wait_until(lambda: get(lab, "products", "/products/1").status_code == 200, ttl + SPARE)
            assert time.monotonic() - begun > ttl - 0.1
            assert chaos.fault(fault["id"])["state"] == "expired"
            clock.write_text("0")
        chaos.close()
