"""Ports are held, shared with our own services only, and given back."""

from __future__ import annotations

import os
import socket

import psutil
import pytest

from cloudcart.exceptions import LabError
from cloudcart.lab.ports import LOOPBACK, hold, listen


def connects(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), 1.0).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_held_port_refuses_connections_until_somebody_listens():
    with hold() as holder:
        port = holder.getsockname()[1]
        assert not connects(port)
        with listen(port):
            assert connects(port)
        assert not connects(port)
        with listen(port):  # a service that is started again gets its port back
            assert connects(port)


def test_a_port_that_another_lab_holds_is_taken_even_while_nobody_listens():
    with hold() as holder, pytest.raises(LabError, match="--free-ports"):
        hold(holder.getsockname()[1])


def test_the_message_names_who_listens():
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        name = psutil.Process().name()
        with pytest.raises(LabError, match=rf"port {port} is taken by {name} \(pid {os.getpid()}\); .*--free-ports"):
            hold(port)


def test_a_port_with_past_connections_only_is_free():
    with hold() as holder:
        port = holder.getsockname()[1]
        with listen(port) as listener:
            listener.setblocking(True)
            with socket.create_connection((LOOPBACK, port)):
                accepted, _ = listener.accept()
                accepted.close()  # closing first leaves this end in TIME_WAIT
    hold(port).close()
