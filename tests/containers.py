"""The containers backend for real: what it starts, how its faults act, what it leaves behind.

Not named ``test_*``, since it needs a Docker engine and minutes: ``nox -s containers`` runs it by name, with the images
of ``infra/images``. Without an engine it fails.
"""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import httpx
import psutil
import pytest

from cloudcart.exceptions import BackendError, LabError
from cloudcart.experiment import Experiment, ScheduledFault, run
from cloudcart.faults import parse_fault
from cloudcart.lab import InvariantResult, Lab, attach, start
from cloudcart.lab.containers.docker import LAB
from cloudcart.load import LoadProfile
from cloudcart.settings import SERVICES, Settings
from cloudcart.signals import Verdict

_STARTER = (
    "import cloudcart, time; lab = cloudcart.start('containers', name='{}'); print('up', flush=True); time.sleep(600)"
)
_SCENARIO = """
import pytest

@pytest.mark.cloudcart_load("browse", rate=10, duration="{duration}", warmup="500ms")
@pytest.mark.cloudcart_fault("latency", target="products", fixed="5ms", start="1s", duration="1s")
def test_toy(cloudcart_run):
    '''It runs.'''
    assert cloudcart_run.record["faults"][0]["injected"] > 0
"""
_TWO_WORKERS = """
import json, time
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", [0, 1])
def test_lab(cloudcart_lab, number):
    mine, other = (Path(f"{number}.json") for number in (number, 1 - number))
    mine.with_suffix(".new").write_text(json.dumps({"name": cloudcart_lab.name, "urls": cloudcart_lab.urls}))
    mine.with_suffix(".new").rename(mine)
    deadline = time.monotonic() + 120
    while not other.exists():  # so that both labs are up at the same time
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert cloudcart_lab.status().ready
"""


def until(condition: Callable[[], object], timeout: float) -> float:
    """Wait until a condition holds and return how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, f"not so within {timeout} s"
        time.sleep(0.05)
    return time.monotonic() - began


def containers_by_lab() -> dict[str, list[str]]:
    """Return the names of all containers of the labs of these tests, by lab."""
    found: dict[str, list[str]] = {}
    for each in docker.from_env().containers.list(all=True, ignore_removed=True, filters={"label": LAB}):
        folder = Path(each.labels[LAB])
        if str(folder.parent).startswith(os.environ["CLOUDCART_STATE_DIR"]):
            found.setdefault(folder.name, []).append(each.name)
    return found


def containers_of(name: str) -> list[str]:
    """Return the names of the containers of one lab."""
    return containers_by_lab().get(name, [])


@contextmanager
def pytest_begun(folder: Path, source: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Begin a pytest that runs one small file in a folder, in containers."""
    (folder / "test_toy.py").write_text(source)
    options = ("-p", "no:cacheprovider", "--cloudcart-backend=containers", *arguments)
    command = [sys.executable, "-m", "pytest", "test_toy.py", *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def passes(folder: Path, source: str, *arguments: str) -> str:
    """Run such a pytest to its end, which must be good, and return what it printed."""
    with pytest_begun(folder, source, *arguments) as process:
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


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
    for name in containers_of("shared"):
        host = engine.containers.get(name).attrs["HostConfig"]
        assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
        assert host["ReadonlyRootfs"] or any(
            f"-{store}-" in name for store in ("postgres", "valkey", "broker", "prometheus")
        )


def test_everything_listens_on_this_machine_alone(lab):
    until(lambda: _status(f"{lab.urls['prometheus']}/-/ready") == 200, 30)
    addresses: dict[str, set[str]] = {}
    for name, pid in lab.pids.items():
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            for found in process.net_connections("inet"):
                if found.status == psutil.CONN_LISTEN:
                    addresses.setdefault(name, set()).add(found.laddr.ip.removeprefix("::ffff:"))
    assert addresses.keys() >= {*SERVICES, "postgres", "valkey", "broker", "prometheus"}
    assert [
        name for name, ips in addresses.items() if not all(ipaddress.ip_address(ip).is_loopback for ip in ips)
    ] == []


def test_the_image_says_whether_its_service_is_well(lab):
    engine = docker.from_env()
    [gateway] = [engine.containers.get(name) for name in containers_of("shared") if "-gateway-" in name]
    how, *check = gateway.image.attrs["Config"]["Healthcheck"]["Test"]
    assert how == "CMD"
    assert gateway.exec_run(check).exit_code == 0
    with socket.socket() as silent:  # bound, so nobody else gets it, and not listening
        silent.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{silent.getsockname()[1]}"
        unwell = gateway.exec_run(check, environment={"CLOUDCART_LISTEN": nobody})
    assert unwell.exit_code == 1
    assert b"refused" in unwell.output
    by_default = "import sys; sys.path.insert(0, '/opt/cloudcart'); import health; print(*health.address())"
    found = gateway.exec_run(["python", "-c", by_default], environment={"CLOUDCART_LISTEN": ""})
    assert found.output.decode().split() == ["127.0.0.1", str(SERVICES["gateway"])]


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
    product = f"{lab.urls['products']}/products/1"
    assert _status(product) == 200
    with lab.inject("link_down", target="products->postgres", ttl="30s"):
        until(lambda: _status(product) != 200, 10)
    until(lambda: _status(product) == 200, 30)


def test_nothing_is_lost_or_doubled_when_the_broker_is_killed(lab, tmp_path):
    """Ten seconds without a broker at twenty check-outs a second."""
    kill = ScheduledFault(fault=parse_fault({"kind": "broker_kill", "target": "kafka"}), start="6s", duration="10s")
    profile = LoadProfile(journey="checkout", rate=20, duration="30s", warmup="2s")
    with lab.tap_events() as tap:
        finished = run(
            Experiment(name="broker_kill", claim="nothing is lost", load=profile, faults=(kill,)), lab, folder=tmp_path
        )
        assert finished.record["faults"][0]["injected"] == 1
        assert finished.verdict is not Verdict.FAIL, finished.explain()
        # How long the broker and the worker's group need to come back depends on the machine; nothing may be lost.
        took = until(lambda: _all_pass(lab.check_invariants(tap)), 180)
        events = tap.events()
    orders = sum(event.topic == "order.created" for event in {event.event_id: event for event in events}.values())
    once = len({event.event_id for event in events})
    print(f"{orders} orders, {once} events published ({len(events) - once} twice), all handled once {took:.0f} s later")
    attempts = [row for row in finished.requests.to_arrow().to_pylist() if row["name"] == "POST /api/orders"]
    assert orders >= sum(row["status"] == 201 for row in attempts) > 0
    # Buyers notice nothing: as many are served as before and afterwards, which is all of them where the machine can.
    without, with_broker = (share_served(attempts, during) for during in (True, False))
    print(f"{len(attempts)} attempts; served without a broker {without:.1%}, with one {with_broker:.1%}")
    assert len(attempts) >= 0.9 * 20 * 30
    assert without >= with_broker - 0.1


def share_served(attempts: list[dict[str, Any]], during_fault: bool) -> float:
    """Return which share of the attempts to order was served while the fault acted, or else."""
    return statistics.mean(row["status"] == 201 for row in attempts if (row["phase"] == "fault") is during_fault)


def test_each_worker_of_pytest_has_a_lab_of_its_own(lab, tmp_path):
    passes(tmp_path, _TWO_WORKERS, "-n", "2")
    first, second = (json.loads((tmp_path / f"{number}.json").read_text()) for number in (0, 1))
    assert len({first["name"], second["name"], lab.name}) == 3
    assert len({*first["urls"].values(), *second["urls"].values(), *lab.urls.values()}) == 3 * len(lab.urls)
    assert containers_by_lab().keys() == {lab.name}


def test_a_scenario_runs_on_a_lab_that_is_up(lab, tmp_path):
    before = containers_of("shared")
    passes(tmp_path, _SCENARIO.format(duration="4s"), "--cloudcart-reuse", "shared")
    assert containers_of("shared") == before
    assert containers_by_lab().keys() == {lab.name}


def test_nothing_is_left_of_a_run_that_is_killed_under_load(lab, tmp_path):
    with pytest_begun(tmp_path, _SCENARIO.format(duration="60s")) as process:
        until(lambda: sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("*/*/requests.tsv")) > 100, 120)
        [name] = containers_by_lab().keys() - {lab.name}
        started = psutil.Process(process.pid).children(recursive=True)
        count = len(containers_of(name))
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed = time.monotonic()
    took = until(lambda: not containers_of(name), 30)
    _, alive = psutil.wait_procs(started, 30)
    assert alive == []
    print(f"killed under load: {count} containers gone after {took:.1f} s, processes {time.monotonic() - killed:.1f} s")


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
    no_prometheus = {"containers.prometheus": Settings().containers.redis}  # a comfort, without which a lab goes on
    with start("containers", name="next", overrides=no_prometheus):
        assert containers_of("headless") == []
        until(lambda: "prometheus" not in attach("next").urls, 30)
        assert attach("next").status().ready
    print(f"{len(left)} containers were left, none after the next start")


def test_a_container_that_fails_tells_the_end_of_its_log(lab):
    postgres = lab.settings.containers.postgres  # which has no redis-server
    with pytest.raises(LabError, match=r"valkey \(?.*ended with exit code 127(.|\n)*redis-server: not found"):
        start("containers", name="broken", overrides={"containers.redis": postgres}, prometheus=False)
    assert containers_of("broken") == []


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
