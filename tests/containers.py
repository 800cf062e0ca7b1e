"""The containers backend for real: what it starts, how its faults act, what it leaves behind.

Not named ``test_*``, since it needs a Docker engine and minutes: ``nox -s containers`` runs it by name, with the images
of ``infra/images``. Without an engine it fails.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import docker
import httpx
import pytest

from cloudcart.exceptions import BackendError, LabError
from cloudcart.experiment import Experiment, ScheduledFault, run
from cloudcart.faults import parse_fault
from cloudcart.lab import InvariantResult, Lab, start
from cloudcart.lab.containers.docker import LAB
from cloudcart.load import LoadProfile
from cloudcart.settings import SERVICES

_STARTER = (
    "import cloudcart, time; lab = cloudcart.start('containers', name='{}'); print('up', flush=True); time.sleep(600)"
)


def until(condition: Callable[[], object], timeout: float) -> float:
    """Wait until a condition holds and return how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, f"not so within {timeout} s"
        time.sleep(0.05)
    return time.monotonic() - began


def containers_of(name: str) -> list[str]:
    """Return the names of the containers of a lab, whichever its folder."""
    with_label = docker.from_env().containers.list(all=True, ignore_removed=True, filters={"label": LAB})
    return [found.name for found in with_label if Path(found.labels[LAB]).name == name]


@pytest.fixture(scope="module", autouse=True)
def state(short_directory: Path) -> Iterator[None]:
    """Labs of these tests live in a folder of their own."""
    os.environ["CLOUDCART_STATE_DIR"] = str(short_directory / "labs")
    yield
    del os.environ["CLOUDCART_STATE_DIR"]


@pytest.fixture(scope="module")
def lab(state: None) -> Iterator[Lab]:
    """A lab in containers whose links go through the proxy."""
    with start("containers", name="shared", overrides={"gateway.rate_limit": "off", "chaos.links": "on"}) as running:
        print(f"ready after {running.seconds:.1f} s")
        yield running
    assert containers_of("shared") == []


@pytest.fixture(autouse=True)
def whole_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did to the shared lab is undone."""
    yield
    if "lab" in request.fixturenames:
        shared: Lab = request.getfixturevalue("lab")
        shared.wait_ready(60.0)
        shared.reset()


def register(lab: Lab, name: str) -> None:
    """Make an event: user.created."""
    document = {"username": name, "email": f"{name}@example.com", "password": "long enough 1"}
    httpx.post(f"{lab.urls['users']}/auth/register", json=document, timeout=10).raise_for_status()


def is_ready(lab: Lab, service: str) -> bool:
    return _status(f"{lab.urls[service]}/ready", 0.5) == 200


def test_a_lab_has_all_its_parts(lab):
    assert lab.status().ready
    parts = {*SERVICES, "supervisor", "postgres", "valkey", "broker", "prometheus", "links"}
    until(lambda: parts <= {name for name, memory in lab.status().memory.items() if memory}, 30)
    assert len(containers_of("shared")) == len(SERVICES) + 4
    until(lambda: _status(f"{lab.urls['prometheus']}/-/ready") == 200, 30)
    for name in (*SERVICES, "postgres", "broker"):
        assert (lab.directory / "logs" / f"{name}.log").stat().st_size, f"no log of {name}"


def test_services_have_no_rights(lab):
    engine = docker.from_env()
    [gateway] = [engine.containers.get(name) for name in containers_of("shared") if "-gateway-" in name]
    uid, written = (
        gateway.exec_run(["python", "-c", code]).output.decode().strip()
        for code in ("import os; print(os.getuid())", "open('/opt/cloudcart/x', 'w')")
    )
    assert uid != "0"
    assert "Read-only file system" in written or "Permission denied" in written


def test_a_killed_service_comes_back(lab):
    restarts = lab.status().services["products"].restarts
    with lab.inject("kill", target="products", ttl="3s"):
        until(lambda: not is_ready(lab, "products"), 10)
    until(lambda: is_ready(lab, "products"), 60)
    assert lab.status().services["products"].restarts > restarts


def test_a_paused_service_goes_on(lab):
    with lab.inject("pause", target="products", ttl="30s"):
        until(lambda: not is_ready(lab, "products"), 10)
    until(lambda: is_ready(lab, "products"), 10)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "broker_pause", "target": "kafka"},
        {"kind": "broker_kill", "target": "kafka"},
        {"kind": "link_down", "target": "users->kafka"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_events_wait_for_the_broker(lab, fault):
    name = f"buyer{fault['kind'].replace('_', '')}"
    with lab.tap_events() as tap:
        register(lab, f"{name}1")
        before = len(tap.wait_for("user.created", 1, 30))
        with lab.inject(**fault, ttl="60s"):
            register(lab, f"{name}2")
            with pytest.raises(LabError, match="events on user"):
                tap.wait_for("user.created", before + 1, 3)
        tap.wait_for("user.created", before + 1, 90)


def test_a_link_to_postgres_can_be_cut(lab):
    products = f"{lab.urls['products']}/products"
    assert _status(products) == 200
    with lab.inject("link_down", target="products->postgres", ttl="30s"):
        until(lambda: _status(products) != 200, 10)
    until(lambda: _status(products) == 200, 30)


def test_nothing_is_lost_or_doubled_when_the_broker_is_killed(lab, tmp_path):
    """Ten seconds without a broker at twenty check-outs a second."""
    kill = ScheduledFault(fault=parse_fault({"kind": "broker_kill", "target": "kafka"}), start="6s", duration="10s")
    profile = LoadProfile(journey="checkout", rate=20, duration="30s", warmup="2s")
    with lab.tap_events() as tap:
        finished = run(
            Experiment(name="broker_kill", claim="nothing is lost", load=profile, faults=(kill,)), lab, folder=tmp_path
        )
        assert finished.record["faults"][0]["injected"] == 1
        # How long the broker and the worker's group need to come back depends on the machine; nothing may be lost.
        took = until(lambda: _all_pass(lab.check_invariants(tap)), 180)
        events = tap.events()
    orders = sum(event.topic == "order.created" for event in {event.event_id: event for event in events}.values())
    once = len({event.event_id for event in events})
    print(f"{orders} orders, {once} events published ({len(events) - once} twice), all handled once {took:.0f} s later")
    assert orders > 100


def test_labs_stand_side_by_side(lab):
    with start("containers", name="second", prometheus=False) as second:
        assert not set(second.urls.values()) & set(lab.urls.values())
        assert second.status().ready
    assert containers_of("second") == []


def test_nothing_is_left_when_the_starter_is_killed():
    starter = subprocess.Popen([sys.executable, "-c", _STARTER.format("orphan")], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    with starter.stdout:
        assert starter.stdout.readline() == b"up\n"
        assert containers_of("orphan")
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    print(f"gone {until(lambda: not containers_of('orphan'), 15):.1f} s after SIGKILL of the starter")


def test_what_a_killed_supervisor_leaves_goes_at_the_next_start():
    with start("containers", name="headless", prometheus=False) as headless:
        os.kill(headless.pids["supervisor"], signal.SIGKILL)
        until(lambda: not _answers(headless), 10)
    left = containers_of("headless")
    assert left, "the services ended without their supervisor: then this test shows nothing"
    with start("containers", name="next", prometheus=False):
        assert containers_of("headless") == []
    print(f"{len(left)} containers were left, none after the next start")


def test_a_missing_image_is_named():
    with pytest.raises(
        BackendError, match=r"the image cloudcart:none is not here .* build it with infra/images/build.sh"
    ):
        start("containers", overrides={"containers.shop": "cloudcart:none"})


def _all_pass(results: list[InvariantResult]) -> bool:
    for result in results:
        if result.verdict != "pass":
            print(f"{result.verdict} so far: {result.name}: {result.detail}")
    return {result.verdict for result in results} == {"pass"}


def _status(url: str, timeout: float = 10.0) -> int:
    """Return the status of an answer; 0 when there is none."""
    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=timeout).status_code
    return 0


def _answers(lab: Lab) -> bool:
    try:
        lab.control("status")
    except LabError:
        return False
    return True
