"""Apache Kafka itself, from CLOUDCART_KAFKA_HOME: run by ``nox -s containers``, which fetches it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cloudcart.exceptions import LabError
from cloudcart.lab import Lab, start
from cloudcart.lab.directory import STATE_DIR
from cloudcart.lab.kafka import Kafka, answers, kafka_home


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


@pytest.fixture(scope="module")
def lab(short_directory: Path) -> Iterator[Lab]:
    """An embedded lab whose broker is Apache Kafka and whose links go through the proxy."""
    before = os.environ.get(STATE_DIR)
    os.environ[STATE_DIR] = str(short_directory / "labs")
    with start(overrides={"chaos.links": "on", "gateway.rate_limit": "off"}, prometheus=False) as running:
        yield running
    os.environ.pop(STATE_DIR)
    if before is not None:
        os.environ[STATE_DIR] = before


@pytest.mark.parametrize(
    "fault",
    [{"kind": "broker_kill", "target": "kafka"}, {"kind": "link_down", "target": "orders->kafka"}],
    ids=lambda fault: fault["kind"],
)
def test_orders_are_told_once_the_broker_is_back(lab, fault):
    assert lab.settings.stores.kafka_durable
    with lab.tap_events() as tap, httpx.Client(base_url=lab.urls["gateway"], timeout=30) as client:
        client.headers["authorization"] = f"Bearer {lab.token('demo')}"
        order(client)
        before = len(tap.wait_for("order.created", 1, 60))
        with lab.inject(**fault, ttl="60s") as injected:
            order(client)
            with pytest.raises(LabError, match="events on order"):
                tap.wait_for("order.created", before + 1, 3)
        assert lab.chaos.fault(injected.id)["injected"] >= 1
        tap.wait_for("order.created", before + 1, 90)


def order(client: httpx.Client) -> None:
    """Order one product."""
    item = {"product_id": 1, "quantity": 1}
    client.post("/api/orders", json={"items": [item], "shipping_address": "1 Main Street"}).raise_for_status()
