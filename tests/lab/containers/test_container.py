"""One container, on an engine that is played here: what becomes of a refused signal, a slow start, a lab that ends."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import docker.errors
import pytest

from cloudcart.exceptions import LabError
from cloudcart.lab.containers import container
from cloudcart.lab.containers.container import Image, LabContainer
from cloudcart.lab.directory import LabDirectory


class Played:
    """The engine's container, which refuses every signal."""

    def __init__(self, *, running: bool = True, paused: bool = False) -> None:
        self.attrs = {"State": {"Pid": 1, "Running": running, "Paused": paused, "ExitCode": 0}}

    def reload(self) -> None:
        pass

    def refuse(self, *_: object) -> None:
        raise docker.errors.APIError("conflict", explanation="the freezer is broken")

    pause = unpause = kill = refuse


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Start a container whose making is ``make``."""

    def start(make) -> LabContainer:
        monkeypatch.setattr(container, "_create", lambda *_: make())
        found = LabContainer("orders", Image("cloudcart"), LabDirectory("played", Path(tmp_path)))
        found.start()
        return found

    return start


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_signal_that_the_engine_refuses_is_an_error(started, number):
    orders = started(Played)
    with pytest.raises(LabError, match=f"orders did not take {number.name}: the freezer is broken"):
        orders.signal(number)


@pytest.mark.parametrize(
    ("state", "number"),
    [
        ({"running": False}, signal.SIGKILL),
        ({"running": False}, signal.SIGSTOP),
        ({"paused": True}, signal.SIGSTOP),
        ({"paused": False}, signal.SIGCONT),
    ],
)
def test_a_signal_to_one_that_is_as_wanted_is_none(started, state, number):
    started(lambda: Played(**state)).signal(number)


def test_waiting_for_a_start_has_a_bound(started):
    engine_answers = threading.Event()
    orders = started(lambda: engine_answers.wait(30) and Played())
    with pytest.raises(LabError, match=r"the engine did not start the container of orders within 0\.1 s"):
        orders.wait_ready(0.1)
    engine_answers.set()
    orders.wait_ready(30)


def test_nothing_is_made_for_a_lab_that_ends(started):
    orders = started(Played)
    orders.wait_started(30)
    orders.abandon()
    orders.start()
    with pytest.raises(LabError, match="did not start: the lab ends"):
        orders.wait_ready(30)


def test_what_cannot_be_made_has_no_exit_code(started):
    def make() -> Played:
        raise docker.errors.APIError("no space", explanation="no space left on device")

    orders = started(make)
    orders.wait_started(30)
    with pytest.raises(LabError, match=r"orders \(cloudcart\) did not start: no space left on device"):
        orders.exit_code()
