"""Small parts of the lab: settings of services, the lab's own token, Prometheus' configuration, readiness."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from cloudcart.exceptions import RefusedError, UsageError
from cloudcart.lab import start, wiring
from cloudcart.lab.ports import hold, listen
from cloudcart.lab.prometheus import scrape_configuration
from cloudcart.lab.readiness import ready_services
from cloudcart.lab.tokens import service_token
from cloudcart.services.security import ServiceTokens
from cloudcart.settings import SERVICES, Auth, Settings


def test_services_accept_the_labs_token():
    tokens = ServiceTokens(Auth(service_secret=SecretStr("s" * 43)), "users")
    tokens.check(service_token("s" * 43))
    with pytest.raises(RefusedError):
        tokens.check(service_token("t" * 43))


def test_every_lab_has_secrets_of_its_own():
    one, two = wiring.lab_settings({}), wiring.lab_settings({})
    for name in ("private_key", "public_key", "service_secret", "admin_password", "demo_password"):
        assert getattr(one.auth, name) not in (None, getattr(two.auth, name))
    assert one.lab


def test_a_password_that_is_given_is_kept():
    assert wiring.lab_settings({"auth.admin_password": "given"}).auth.admin_password == SecretStr("given")


def test_a_setting_that_does_not_exist_is_named():
    with pytest.raises(UsageError, match=r"gateway\.rat_limit"):
        wiring.lab_settings({"gateway.rat_limit": "off"})


SOCKET = Path("/lab/control")


def test_only_the_chaos_service_can_reach_the_supervisor():
    settings = wiring.lab_settings({})
    reach = {name for name in SERVICES if wiring.for_service(settings, name, {}, SOCKET, {}).chaos.supervisor}
    assert reach == {"chaos"}


def test_a_service_gets_its_own_database_and_no_foreign_secret():
    settings = wiring.at(wiring.lab_settings({}), wiring.Addresses({"users": "http://u"}, "unix:///r", "127.0.0.1:9"))
    databases = {"users": "postgresql://users@/", "orders": "postgresql://orders@/"}
    orders = wiring.for_service(settings, "orders", databases, SOCKET, {})
    assert orders.stores.database == SecretStr("postgresql://orders@/")
    assert orders.auth.private_key is None
    assert (orders.stores.redis, orders.stores.kafka, orders.urls.users) == ("unix:///r", "127.0.0.1:9", "http://u")
    assert wiring.for_service(settings, "gateway", databases, SOCKET, {}).stores.database == SecretStr("")
    assert wiring.for_service(settings, "users", databases, SOCKET, {}).auth.private_key is not None


def test_each_replica_knows_its_number_and_callers_know_them_all():
    urls = {"products": "http://p", "products/1": "http://q", "users": "http://u"}
    settings = wiring.at(wiring.lab_settings({"products.replicas": 2}), wiring.Addresses(urls, "", ""))
    assert settings.urls.of("products") == ("http://p", "http://q")
    assert settings.urls.of("users") == ("http://u",)
    assert settings.urls.peers() == {"http://p": "products", "http://u": "users"}
    made = [wiring.for_service(settings, "products", {}, SOCKET, {}, replica=number) for number in (0, 1)]
    assert [each.replica for each in made] == [0, 1]
    assert wiring.for_traffic(settings).urls.of("products") == ("",)
    assert Settings(**wiring.dump_settings(settings)) == settings


def test_settings_come_back_from_the_labs_file():
    settings = wiring.lab_settings({"gateway.rate_limit": "off", "gateway.timeout": "750ms", "auth.bcrypt_rounds": 5})
    assert Settings(**wiring.dump_settings(settings)) == settings


def test_other_backends_are_refused_with_a_sentence():
    with pytest.raises(UsageError, match="no backend 'kubernetes'; choose one of embedded, containers, external"):
        start("kubernetes")


def test_prometheus_accepts_its_configuration(tmp_path, prometheus_program):
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(scrape_configuration({"gateway": 3000, "products": 8002, "products/1": 9}))
    subprocess.run([prometheus_program("promtool"), "check", "config", configuration], check=True, capture_output=True)


def test_services_that_refuse_or_stay_silent_are_not_ready():
    with hold() as dead, hold() as silent, listen(silent.getsockname()[1]):
        addresses = {"dead": dead.getsockname(), "silent": silent.getsockname()}
        assert ready_services(addresses, 0.1) == set()


def test_prometheus_tells_replicas_apart():
    text = scrape_configuration({"products": 8002, "products/1": 9})
    assert "job_name: products/1" in text
    assert "labels: {service: products}" in text
    assert "labels: {service: products, replica: '1'}" in text
