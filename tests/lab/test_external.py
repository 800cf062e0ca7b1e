"""A lab that somebody else started: found by its addresses, used, healed, and refused when it is none."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from cloudcart.cli.lab_view import environment_lines
from cloudcart.exceptions import LabError, UnsupportedError, UsageError
from cloudcart.faults import parse_fault
from cloudcart.lab import Lab, attach, list_labs, start

SCENARIO = """
import pytest

@pytest.mark.cloudcart_load("checkout", rate=10, duration="4s", warmup="500ms")
@pytest.mark.cloudcart_fault("error", target="products", probability=0.2, start="2s", duration="1s")
@pytest.mark.cloudcart_slo("p50 < 10s")
def test_claim(cloudcart_run):
    '''People get answers.'''
    assert cloudcart_run.record["faults"][0]["injected"] > 0, cloudcart_run.explain()
    assert cloudcart_run.record["backend"] == "external"
"""
VISIT = """
def test_visit(cloudcart_lab):
    assert cloudcart_lab.status().ready
"""


@pytest.fixture
def known(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The shared lab, its addresses and secrets in this process's environment."""
    for line in environment_lines(lab):
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value.strip("'"))
    return lab


def cloudcart(*arguments: str) -> str:
    """Run the command line in a process of its own, which must end well, and return what it printed."""
    command = [sys.executable, "-m", "cloudcart.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def elsewhere(state: Path) -> Iterator[Lab]:
    """A lab that another process has started and left running."""
    cloudcart("up", "--detach", "--free-ports", "--name", "elsewhere", "--set", "gateway.rate_limit=off")
    with attach("elsewhere") as running:
        yield running
    cloudcart("down", "--name", "elsewhere")


@pytest.fixture
def run_pytest(elsewhere: Lab, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a small file by pytest on that lab, known by nothing but what ``status --environment`` prints."""
    exports = shlex.split(cloudcart("status", "--name", "elsewhere", "--environment"))
    known = dict(word.split("=", 1) for word in exports if word != "export")

    def run(source: str, *options: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_small.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--cloudcart-backend=external", *options]
        environment = os.environ | known | {"CLOUDCART_STATE_DIR": str(tmp_path / "no labs here")}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180, check=False
        )

    return run


def test_a_scenario_runs_on_a_lab_of_another_process_and_leaves_it_as_it_was(elsewhere, run_pytest, tmp_path):
    before = elsewhere.pids
    done = run_pytest(SCENARIO)
    assert done.returncode == 0, done.stdout
    assert elsewhere.pids == before
    assert elsewhere.name in list_labs()
    assert elsewhere.status().ready
    assert not [fault for fault in elsewhere.chaos.faults() if fault["state"] == "active"]
    assert elsewhere.would_lose() == ""
    assert not (tmp_path / "no labs here").exists()


def test_what_people_have_made_is_not_wiped_without_their_consent(elsewhere, run_pytest):
    somebody = {"username": "somebody", "email": "somebody@example.com", "password": "long enough 1"}
    httpx.post(f"{elsewhere.urls['users']}/auth/register", json=somebody, timeout=10).raise_for_status()
    refused = run_pytest(VISIT)
    assert refused.returncode == pytest.ExitCode.TESTS_FAILED
    assert "has 1 accounts, and a test resets it; add --cloudcart-wipe if nobody wants them" in refused.stdout
    assert elsewhere.would_lose() == "1 accounts"
    assert run_pytest(VISIT, "--cloudcart-wipe").returncode == 0
    assert elsewhere.would_lose() == ""


@contextmanager
def a_server(answer: int, document: object) -> Iterator[str]:
    """Something that answers every question alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_it_is_used_like_any_other_and_goes_on_afterwards(known):
    with start("external") as external:
        assert external.backend == "external"
        external.reset()
        assert external.status().ready
        with external.inject("latency", target="products", fixed="1ms"):
            assert [fault["kind"] for fault in known.chaos.faults() if fault["state"] == "active"] == ["latency"]
        with external.tap_events() as tap:
            assert {result.verdict for result in external.check_invariants(tap)} == {"pass"}
    assert known.status().ready
    assert not [fault for fault in known.chaos.faults() if fault["state"] == "active"]


def test_its_processes_are_out_of_reach(known):
    with start("external") as external, pytest.raises(UnsupportedError, match="cannot kill users"):
        external.control("kill", service="users")


def test_other_settings_than_its_own_cannot_be_had(known):
    with pytest.raises(UnsupportedError, match=r"gateway.retries=off is needed, and the lab at .* another value"):
        start("external", overrides={"gateway.retries": "off"})


def test_what_it_cannot_do_is_said_before_a_run(known):
    with start("external") as external:
        external.require([parse_fault({"kind": "latency", "target": "products", "fixed": "1ms"})])
        with pytest.raises(UnsupportedError, match=r"broker_kill cannot be carried out .* here is the mock broker"):
            external.require([parse_fault({"kind": "broker_kill", "target": "kafka"})])


def test_a_wrong_secret_is_said_to_be_wrong(known, monkeypatch):
    monkeypatch.setenv("CLOUDCART_AUTH__SERVICE_SECRET", "another secret, which is long enough")
    with pytest.raises(UsageError, match="refuses CLOUDCART_AUTH__SERVICE_SECRET"):
        start("external")


@pytest.mark.parametrize(("answer", "document"), [(404, {}), (200, {}), (200, {"lab": False})])
def test_a_shop_that_is_no_lab_is_refused(known, answer, document):
    with (
        a_server(answer, document) as url,
        pytest.raises(UsageError, match=r"is not marked as a lab \(setting lab=on\), so nothing may be broken there"),
    ):
        start("external", overrides={"urls.chaos": url})


def test_what_is_missing_is_listed():
    with pytest.raises(UsageError, match=r"needs CLOUDCART_AUTH__SERVICE_SECRET, CLOUDCART_AUTH__ADMIN_PASSWORD"):
        start("external", overrides={"urls.gateway": "http://127.0.0.1:3000"})


def test_other_services_are_looked_for_beside_the_gateway(monkeypatch):
    for name in (
        "AUTH__SERVICE_SECRET",
        "AUTH__ADMIN_PASSWORD",
        "AUTH__DEMO_PASSWORD",
        "STORES__KAFKA",
        "STORES__DATABASE",
    ):
        monkeypatch.setenv(f"CLOUDCART_{name}", "given")
    with pytest.raises(LabError, match=r"no chaos service answers at http://127.0.0.99:8004"):
        start("external", overrides={"urls.gateway": "http://127.0.0.99:3000"})
