"""What is said where there is no engine that can be used; ``tests/containers.py`` tests the rest of the backend."""

from __future__ import annotations

import pytest

from cloudcart.exceptions import BackendError
from cloudcart.lab import list_labs, start


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("unix:///nowhere/docker.sock", "no Docker engine answers at unix:///nowhere/docker.sock; install one"),
        ("tcp://127.0.0.1:1", "DOCKER_HOST=tcp://127.0.0.1:1 is no engine on this machine"),
    ],
)
def test_a_machine_without_an_engine_is_told_what_to_do(monkeypatch, host, sentence):
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(BackendError, match=sentence) as raised:
        start("containers", name="never")
    assert raised.value.exit_code == 4
    assert "never" not in list_labs()
