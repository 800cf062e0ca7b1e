"""Service processes that die are started again, those that keep dying less and less often."""

from __future__ import annotations

import time

import pytest

from cloudcart.exceptions import UsageError
from cloudcart.lab.service_process import ServiceProcess
from cloudcart.lab.services import Services
from cloudcart.settings import Settings


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


def test_a_service_that_is_held_down_is_started_when_it_is_let_go(services):
    services.hold("users", "kill-1", pause=False, seconds=60)
    services.hold("users", "kill-2", pause=False, seconds=60)
    assert not services.start()
    services.hold("users", "kill-1", pause=False, seconds=0)
    assert not services.start(), "another fault still holds it"
    services.hold("users", "kill-2", pause=False, seconds=0)
    assert services.start()


def test_a_hold_ends_at_its_deadline_when_nobody_asks_again(services, wait_for):
    services.hold("users", "kill-1", pause=False, seconds=0.05)
    assert not services.start()
    assert services.next_due - time.monotonic() <= 0.05
    wait_for(lambda: services.next_due <= time.monotonic())
    assert services.start()


def test_letting_go_of_what_is_not_held_changes_nothing(services):
    services.hold("users", "kill-1", pause=True, seconds=0)
    assert services.start()


@pytest.fixture
def released(tmp_path):
    """One service with settings, that is never started."""
    return Services([ServiceProcess("users", Settings(lab=True), 0, tmp_path / "users.log")])


def failing(services):
    """Return the share that the present release fails, and how many were deployed."""
    (service,) = services._services.values()
    return service.released.settings.release.failing, service.released.deployments


def test_the_newest_release_runs_until_it_is_withdrawn(released):
    released.deploy("users", "bad-1", {"release.failing": 0.3}, release="abc", seconds=60)
    released.deploy("users", "bad-2", {"release.failing": 0.6}, release="def", seconds=60)
    assert failing(released) == (0.6, 3)
    released.deploy("users", "bad-2", {"release.failing": 0.6}, release="def", seconds=60)
    released.deploy("users", "bad-1", {}, release="", seconds=0)
    assert failing(released) == (0.6, 3), "neither renewing nor withdrawing an older one deploys anything"
    released.deploy("users", "bad-2", {}, release="", seconds=0)
    assert failing(released) == (0.0, 4)


def test_a_release_is_withdrawn_at_its_deadline_when_nobody_asks_again(released, wait_for):
    released.hold("users", "kill-1", pause=False, seconds=60)  # so that nothing is started here
    released.deploy("users", "bad-1", {"release.failing": 0.3}, release="abc", seconds=0.05)
    assert released.next_due - time.monotonic() <= 0.05
    wait_for(lambda: released.next_due <= time.monotonic())
    assert not released.start()
    assert failing(released) == (0.0, 3)


def test_a_release_with_a_setting_that_does_not_exist_is_refused(released):
    with pytest.raises(UsageError, match=r"there is no setting 'release\.colour'"):
        released.deploy("users", "bad-1", {"release.colour": "red"}, release="abc", seconds=60)
    assert failing(released) == (0.0, 1)


@pytest.fixture
def replicas(tmp_path):
    """Two replicas with settings, that are never started."""
    specs = [ServiceProcess("products", Settings(lab=True), 0, tmp_path / "log", replica=number) for number in (0, 1)]
    return Services(specs)


@pytest.mark.parametrize(("name", "held"), [("products", {0, 1}), ("products/0", {0}), ("products/1", {1})])
def test_a_service_means_all_its_replicas_and_a_number_one(replicas, name, held):
    replicas.hold(name, "kill-1", pause=False, seconds=60)
    replicas.deploy(name, "bad-1", {"release.failing": 0.5}, release="abc", seconds=60)
    found = replicas._services.values()
    assert {each.spec.replica for each in found if each.holds} == held
    assert {each.spec.replica for each in found if each.released.settings.release.failing} == held
    assert list(replicas.ports) == ["products", "products/1"]
    assert name in replicas


def test_a_replica_that_is_not_there_is_named(replicas):
    assert "products/2" not in replicas
    with pytest.raises(UsageError, match="'products/2'; choose one of products, products/1"):
        replicas.restart("products/2", {})
