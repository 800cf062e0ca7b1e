"""Settings: overrides by dotted name, clear refusals, and no service sees what it need not know."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from cloudcart.exceptions import UsageError
from cloudcart.settings import SERVICES, Settings, describe_settings


def test_a_switch_is_set_by_its_dotted_name():
    settings = Settings().with_overrides({"gateway.rate_limit": "off", "orders.timeout": "3s", "lab": "on"})
    assert (settings.gateway.rate_limit, settings.orders.timeout, settings.lab) == (False, 3.0, True)
    assert Settings().gateway.rate_limit, "the original is untouched"


@pytest.mark.parametrize("name", ["gateway.rate", "gateway", "foo.bar", "rate_limit", "", "gateway.rate_limit.x"])
def test_an_unknown_setting_is_named(name):
    with pytest.raises(UsageError, match="there is no setting"):
        Settings().with_overrides({name: "1"})


@pytest.mark.parametrize(
    ("name", "value"), [("gateway.timeout", "soon"), ("orders.notify", "pigeon"), ("log_level", "x")]
)
def test_a_bad_value_is_refused_with_the_settings_name(name, value):
    with pytest.raises(UsageError, match=f"setting '{name}'"):
        Settings().with_overrides({name: value})


def test_the_environment_sets_them_too(monkeypatch):
    monkeypatch.setenv("CLOUDCART_GATEWAY__RETRIES", "off")
    assert Settings().gateway.retries is False


def test_only_the_user_service_can_sign():
    auth = {"private_key": SecretStr("key"), "admin_password": SecretStr("a"), "demo_password": SecretStr("d")}
    settings = Settings(auth=auth)
    assert settings.for_service("users").auth.private_key is not None
    for service in set(SERVICES) - {"users"}:
        theirs = settings.for_service(service).auth
        assert (theirs.private_key, theirs.admin_password, theirs.demo_password) == (None, None, None)


def test_secrets_are_not_printed():
    settings = Settings(auth={"service_secret": SecretStr("swordfish")})
    assert "swordfish" not in repr(settings)


def test_every_setting_is_described():
    described = list(describe_settings())
    assert {"gateway.retries", "orders.notify", "lab"} <= {info.name for info in described}
    sections = {"stores", "urls"}
    undescribed = [info.name for info in described if not info.description and info.name.split(".")[0] not in sections]
    assert not undescribed


def test_replicas_are_counted_and_bounded():
    assert (Settings().replicas_of("products"), Settings().replicas_of("orders")) == (1, 1)
    assert Settings().with_overrides({"products.replicas": "4"}).replicas_of("products") == 4
    for count in ("0", "5", "two"):
        with pytest.raises(UsageError, match=r"setting 'products\.replicas'"):
            Settings().with_overrides({"products.replicas": count})


def test_addresses_of_replicas_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("CLOUDCART_URLS__PRODUCTS", "http://a")
    monkeypatch.setenv("CLOUDCART_URLS__PRODUCTS_REPLICAS", '["http://b", "http://c"]')
    assert Settings().urls.of("products") == ("http://a", "http://b", "http://c")
