"""The control socket answers, refuses and survives nonsense."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcart.exceptions import LabError, UsageError
from cloudcart.lab.control import ControlServer, call


def answer(question):
    match question:
        case {"command": "echo"}:
            return {"said": question["word"]}
        case {"command": "fail"}:
            raise LabError("it broke")
    raise UsageError("no such command")


@pytest.fixture(scope="module")
def control(short_directory: Path) -> Iterator[Path]:
    path = short_directory / "control.sock"
    done = threading.Event()

    def serve() -> None:
        with selectors.DefaultSelector() as selector, ControlServer(path, selector, answer):
            started.set()
            while not done.is_set():
                for key, _ in selector.select(0.02):
                    key.data()

    started = threading.Event()
    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(5.0)
    yield path
    done.set()
    thread.join()
    assert not path.exists()


def test_an_answer(control):
    assert call(control, {"command": "echo", "word": "ä"}) == {"said": "ä"}


def test_what_is_refused_is_a_usage_error(control):
    with pytest.raises(UsageError, match="no such command"):
        call(control, {"command": "dance"})


def test_what_fails_is_a_lab_error(control):
    with pytest.raises(LabError, match="it broke"):
        call(control, {"command": "fail"})


def test_nobody_there(short_directory):
    with pytest.raises(LabError, match="may have ended"):
        call(short_directory / "none.sock", {"command": "echo"})


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(noise=st.binary(max_size=200))
def test_nonsense_does_no_harm(control, noise):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(control))
        connection.sendall(noise)
    assert call(control, {"command": "echo", "word": "still here"}) == {"said": "still here"}
