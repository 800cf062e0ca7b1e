"""Apache Kafka itself, from CLOUDCART_KAFKA_HOME: run by ``nox -s containers``, which fetches it."""

from __future__ import annotations

from pathlib import Path

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
