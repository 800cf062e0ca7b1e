"""Apache Kafka's ports and properties; ``tests/kafka.py`` tests the broker itself."""

from __future__ import annotations

import pytest

from cloudcart.exceptions import BackendError
from cloudcart.lab import start
from cloudcart.lab.kafka import KAFKA_HOME, Listeners, kafka_home


def test_routed_services_are_told_their_proxys_port():
    listeners = Listeners(["orders"])
    properties = listeners.properties()
    told = dict(part.split("://") for part in properties["advertised.listeners"].split(","))
    bound = dict(part.split("://") for part in properties["listeners"].split(","))
    assert told["PLAINTEXT"] == bound["PLAINTEXT"] == listeners.address
    assert told["ORDERS"] == "127.0.0.1:{}".format(listeners.proxies["orders"].getsockname()[1])
    assert bound["ORDERS"] == listeners.upstream("orders") != told["ORDERS"]
    assert len({*told.values(), *bound.values()}) == 4
    listeners.close()


def test_without_a_home_the_mock_is_used(monkeypatch):
    monkeypatch.delenv(KAFKA_HOME, raising=False)
    assert kafka_home() is None


def test_a_home_without_jars_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv(KAFKA_HOME, str(tmp_path))
    with pytest.raises(BackendError, match=r"has no libs/kafka_\*.jar; 'infra/kafka/fetch.sh .*' gets them"):
        kafka_home()


def test_without_java_the_sentence_says_so(monkeypatch, tmp_path):
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.4.0.jar").touch()
    monkeypatch.setenv(KAFKA_HOME, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="there is no 'java' on the PATH"):
        kafka_home()


def test_a_lab_looks_for_a_home_where_it_was_named(monkeypatch, tmp_path, state):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(KAFKA_HOME, "here")
    with pytest.raises(BackendError, match=f"{tmp_path}/here has no libs"):
        start(name="homeless")
