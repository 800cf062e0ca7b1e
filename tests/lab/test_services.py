"""Service processes that die are started again, those that keep dying less and less often."""

from __future__ import annotations

import time

import pytest

from cloudcart.exceptions import UsageError
from cloudcart.lab.service_process import ServiceProcess
from cloudcart.lab.services import Services


@pytest.fixture
def services(tmp_path):
    """One service that cannot start, since it has no settings."""
    some = Services([ServiceProcess("users", None, 0, tmp_path / "users.log")])
    yield some
    some.kill()


def test_pauses_grow_while_a_service_keeps_dying(services, wait_for, tmp_path):
    assert services.next_due is not None
    pauses = []
    for restarts in range(1, 5):
        services.start()
        assert services.next_due is None
        ended = {}
        wait_for(lambda ended=ended: ended.update(services.reap()) or ended)
        assert ended == {"users": 1}
        assert services.restarts == {"users": restarts}
        pauses.append(services.next_due - time.monotonic())
        wait_for(lambda: services.next_due <= time.monotonic())
    assert pauses == sorted(pauses)
    assert 0 < pauses[0] < 0.1 < pauses[-1] < 5
    assert "AttributeError" in (tmp_path / "users.log").read_text()


def test_nothing_starts_before_it_is_due(services, wait_for):
    services.start()
    wait_for(services.reap)
    assert not services.start()
    assert services.pids == {}


def test_an_unknown_service_is_named(services):
    with pytest.raises(UsageError, match="'basket'; choose one of users"):
        services.signal("basket", 9)
