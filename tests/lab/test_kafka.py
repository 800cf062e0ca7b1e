"""Apache Kafka's ports and properties; the broker itself where CLOUDCART_KAFKA_HOME and Java are present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cloudcart.exceptions import BackendError
from cloudcart.lab.kafka import KAFKA_HOME, Kafka, Listeners, answers, kafka_home


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


@pytest.mark.skipif(
    KAFKA_HOME not in os.environ, reason=f"{KAFKA_HOME} is not set: 'infra/kafka/fetch.sh FOLDER' gets it"
)
def test_messages_survive_a_kill(tmp_path):
    from confluent_kafka import Consumer, Producer

    home = kafka_home()
    assert home is not None
    kafka = Kafka(tmp_path / "broker", Path(home), log=tmp_path / "broker.log")
    try:
        kafka.start()
        kafka.wait_ready(120.0)
        producer = Producer({"bootstrap.servers": kafka.address})
        producer.produce("kept", b"still here")
        assert producer.flush(60) == 0
        kafka.kill()
        assert not answers(kafka.listeners.port)
        kafka.start()
        kafka.wait_ready(120.0)
        consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": "test", "auto.offset.reset": "earliest"})
        consumer.subscribe(["kept"])
        message = consumer.poll(60)
        consumer.close()
        assert message is not None
        assert message.value() == b"still here"
    finally:
        kafka.stop()
        kafka.listeners.close()
