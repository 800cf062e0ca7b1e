"""Which faults which labs can carry out."""

from __future__ import annotations

import re

import pytest

from cloudcart.faults import parse_fault
from cloudcart.lab.ability import why_not
from cloudcart.settings import Settings

KILL = {"kind": "kill", "target": "orders"}
BROKER_KILL = {"kind": "broker_kill", "target": "kafka"}
BROKER_PAUSE = {"kind": "broker_pause", "target": "kafka"}
LINK = {"kind": "link_down", "target": "orders->kafka"}
LATENCY = {"kind": "latency", "target": "orders", "fixed": "1ms"}

MOCK = Settings()
REPLICA = {**LATENCY, "target": "products", "replica": 1}

DURABLE = Settings().with_overrides({"stores.kafka_durable": True})
TWO = Settings().with_overrides({"products.replicas": 2})
SUPERVISED = Settings().with_overrides({"chaos.supervisor": "/path"})


@pytest.mark.parametrize(
    ("fault", "backend", "settings", "reason"),
    [
        (LATENCY, "external", MOCK, None),
        (KILL, "embedded", MOCK, None),
        (KILL, "external", MOCK, "nobody there can pause or kill a process"),
        (KILL, "external", SUPERVISED, None),
        (BROKER_KILL, "embedded", MOCK, "here is the mock broker"),
        (BROKER_KILL, "embedded", DURABLE, None),
        (BROKER_KILL, "containers", DURABLE, None),
        (BROKER_PAUSE, "embedded", MOCK, None),
        (BROKER_PAUSE, "external", DURABLE, "nobody there can"),
        (LINK, "embedded", MOCK, "here is the mock broker"),
        (LINK, "containers", DURABLE, None),
        (REPLICA, "embedded", TWO, None),
        (
            REPLICA,
            "containers",
            MOCK,
            "replica 1 of products, numbered from 0, which has 1 here; --set products.replicas=2",
        ),
        ({**REPLICA, "target": "orders"}, "embedded", TWO, "replica 1 of orders, .* no setting gives it more"),
        (REPLICA, "external", MOCK, None),
    ],
)
def test_a_lab_says_why_it_cannot(fault, backend, settings, reason):
    said = why_not(parse_fault(fault), backend, settings)
    assert said is None if reason is None else re.search(reason, said or "")
