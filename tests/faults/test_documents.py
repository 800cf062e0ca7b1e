"""The document form of faults, and the catalogue made from them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.exceptions import FaultError
from cloudcart.faults import FAULTS, MAX_TTL, Target, Timeout, parse_fault
from cloudcart.faults.catalogue import catalogue

VALID: dict[str, dict[str, Any]] = {
    "latency": {"median": "80ms", "p99": "900ms"},
    "error": {"status": 503},
    "timeout": {"after": "2s"},
    "db_lock": {"table": "products"},
    "redis_flush": {"target": "redis"},
    "broker_pause": {"target": "kafka"},
    "broker_kill": {"target": "kafka"},
    "reset": {"after_bytes": 20},
    "slow_body": {"rate": "64KiB"},
    "corrupt": {"how": "truncated", "keep": 0.25},
    "quota": {"requests": 20, "per": "1s"},
    "clock_skew": {"by": "-2h"},
    "cpu_burn": {"cores": 1.5},
    "failed_readiness": {},
    "fd_leak": {"rate": 20},
    "kill": {"down": "2s"},
    "loop_block": {"block": "200ms", "every": "2s"},
    "memory_leak": {"rate": "10MiB"},
    "pause": {},
    "link_bandwidth": {"rate": "64KiB"},
    "link_blackhole": {},
    "link_down": {"stream": "both"},
    "link_latency": {"latency": "80ms", "jitter": "10ms"},
    "link_reset": {"after_bytes": 100},
    "link_slice": {"size": 10, "pause": "1ms"},
}


def document(kind: str, **fields: Any) -> dict[str, Any]:
    target = "products->postgres" if FAULTS[kind].place == "link" else "products"
    return {"kind": kind, "target": target, **VALID.get(kind, {}), **fields}


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_every_kind_has_a_label_a_contract_a_description_and_a_schema(kind: str) -> None:
    fault = parse_fault(document(kind))
    assert fault.target.service in fault.label
    assert fault.contract.shows_within > 0
    (entry,) = [entry for entry in catalogue() if entry["kind"] == kind]
    assert entry["description"]
    parameters: Any = entry["parameters"]
    assert set(parameters["properties"]) == set(type(fault).model_fields)


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_a_document_survives_the_way_there_and_back(kind: str) -> None:
    matchers = {"probability": "30%", "first": 20, "method": "get", "header": "x-a=b"}
    fault = parse_fault(document(kind, ttl="2m", seed=7, **(matchers if FAULTS[kind].place == "exchange" else {})))
    assert parse_fault(fault.document()) == fault
    assert (fault.ttl, fault.seed) == (120.0, 7)
    if FAULTS[kind].place == "exchange":
        assert (fault.probability, fault.method) == (0.3, "GET")


@given(st.floats(0, 3600), st.floats(1e-9, 3600))
def test_durations_are_copied_exactly(after: float, ttl: float) -> None:
    fault = parse_fault({"kind": "latency", "target": "products", "fixed": after, "ttl": ttl})
    assert parse_fault(fault.document()) == fault


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "earthquake"}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": "error", "target": "prodcuts"}, "target"),
        ({"kind": "error", "target": "products->mongodb"}, "target"),
        ({"kind": "error", "target": "kafka:"}, "target"),
        ({"kind": "error", "target": 7}, "target"),
        ({"kind": "error"}, "target"),
        ({"kind": "error", "target": "products", "probability": 2}, "probability"),
        ({"kind": "error", "target": "products", "probability": -0.1}, "probability"),
        ({"kind": "error", "target": "products", "probability": float("nan")}, "probability"),
        ({"kind": "error", "target": "products", "ttl": 0}, "ttl"),
        ({"kind": "error", "target": "products", "ttl": MAX_TTL + 1}, "ttl"),
        ({"kind": "error", "target": "products", "ttl": "soon"}, "ttl"),
        ({"kind": "error", "target": "products", "ttl": float("inf")}, "ttl"),
        ({"kind": "error", "target": "products", "status": 200}, "status"),
        ({"kind": "error", "target": "products", "statsu": 500}, "statsu"),
        ({"kind": "error", "target": "products", "direction": "sideways"}, "direction"),
        ({"kind": "error", "target": "products->postgres"}, "postgres"),
        ({"kind": "pause", "target": "products", "probability": 0.5}, "leave out probability"),
        ({"kind": "cpu_burn", "target": "products:/products"}, "its target is a service alone, as products"),
        ({"kind": "loop_block", "target": "products", "every": "0s"}, "every"),
        ({"kind": "clock_skew", "target": "products", "by": "--2h"}, "by"),
        ({"kind": "reset", "target": "kafka:order.created"}, "reset acts on the answer"),
        ({"kind": "slow_body", "target": "products", "rate": "fast"}, "rate"),
        ({"kind": "slow_body", "target": "products", "rate": 0}, "rate"),
        ({"kind": "corrupt", "target": "products", "how": "badly"}, "how"),
        ({"kind": "link_down", "target": "products"}, "acts on a link"),
        ({"kind": "link_down", "target": "products:/products"}, "acts on a link"),
        ({"kind": "link_down", "target": "products->postgres", "method": "GET"}, "method"),
        ({"kind": "link_down", "target": "products->postgres", "replica": 1}, "replica"),
        ({"kind": "link_latency", "target": "products->postgres"}, "latency"),
        ({"kind": "link_latency", "target": "products->postgres", "latency": 1, "max_active": 1}, "per=connection"),
        ({"kind": "link_bandwidth", "target": "products->postgres", "rate": 0}, "rate"),
        ({"kind": "link_slice", "target": "products->postgres", "size": 0}, "size"),
        ({"kind": "latency", "target": "products"}, "give fixed, or min and max"),
        ({"kind": "latency", "target": "products", "fixed": "1s", "min": "1s"}, "give fixed, or min and max"),
        ({"kind": "latency", "target": "products", "min": "2s", "max": "1s"}, "min is greater than max"),
        ({"kind": "latency", "target": "products", "median": "2s", "p99": "1s"}, "median"),
        ({"kind": "latency", "target": "products", "median": "0s"}, "median"),
    ],
)
def test_a_document_that_makes_no_sense_is_refused_and_the_field_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(FaultError, match=field):
        parse_fault(fields)


def test_the_message_for_a_wrong_target_lists_what_there_is() -> None:
    with pytest.raises(FaultError, match="there is no 'prodcuts' to aim at in 'prodcuts:/x'; choose one of gateway"):
        parse_fault({"kind": "error", "target": "prodcuts:/x"})
    with pytest.raises(FaultError, match="choose one of mine, yours"):
        parse_fault({"kind": "error", "target": "products"}, services=("mine", "yours"))


@pytest.mark.parametrize(
    "target",
    ["products", "products:/products/{id}", "products->postgres", "kafka:order.created", "my-app.v2:/x", "Größe"],
)
def test_a_target_survives_the_way_there_and_back(target: str) -> None:
    assert str(Target.parse(target)) == target


@given(st.text(max_size=40))
def test_any_text_is_a_target_or_a_sentence(text: str) -> None:
    try:
        target = Target.parse(text)
    except ValueError as error:
        said = str(error)
    else:
        said = str(target)
        assert said == text.removesuffix(":")
    assert said


def test_after_is_understood_as_skip_except_where_a_kind_has_it() -> None:
    assert parse_fault(document("error", after=5)).skip == 5
    timeout = parse_fault(document("timeout", after="5s"))
    assert isinstance(timeout, Timeout)
    assert (timeout.skip, timeout.after) == (0, 5.0)


def test_identity_is_what_the_fault_does_not_how_often() -> None:
    one = parse_fault(document("error"))
    assert one.identity == parse_fault(document("error", probability=0.1, ttl="5s", seed=9, first=3)).identity
    assert (
        len({parse_fault(d).identity for d in (*map(document, VALID), document("error", status=500))}) == len(VALID) + 1
    )
    assert one.identity != parse_fault({**document("error"), "target": "orders"}).identity


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"kind": "publish_fail", "target": "orders:/orders"}, "aim it at kafka:TOPIC, a service, or SERVICE->kafka"),
        ({"kind": "duplicate", "target": "orders->postgres"}, "acts on kafka"),
        ({"kind": "slow_consumer", "target": "notifications", "method": "GET"}, "does not act on requests"),
        ({"kind": "slow_consumer", "target": "notifications", "user": 3}, "does not act on requests"),
        ({"kind": "db_lock", "target": "products"}, "table: Field required"),
        ({"kind": "db_lock", "target": "kafka:order.created", "table": "orders"}, "a service, or SERVICE->postgres"),
        ({"kind": "db_slow_query", "target": "products->redis"}, "db_slow_query acts on postgres"),
        ({"kind": "db_pool_drain", "target": "products", "share": 0}, "share: "),
        ({"kind": "redis_flush", "target": "gateway->redis"}, "its target is 'redis'"),
        ({"kind": "redis_slow", "target": "redis"}, "there is no 'redis' to aim at"),
    ],
)
def test_what_a_fault_of_a_store_cannot_do_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FaultError, match=sentence):
        parse_fault(fields)


@pytest.mark.parametrize(
    ("fields", "label", "process"),
    [
        ({"kind": "kill"}, "kill on products", "products"),
        ({"kind": "kill", "replica": 0}, "kill on replica 0 of products", "products/0"),
        ({"kind": "error", "replica": 1}, "503 on replica 1 of products", "products/1"),
        ({"kind": "bad_deploy", "replica": 1}, "bad release of replica 1 of products", "products/1"),
    ],
)
def test_a_replica_is_named_on_charts_and_to_the_supervisor(
    fields: dict[str, object], label: str, process: str
) -> None:
    fault = parse_fault({"target": "products", **fields})
    assert (fault.label, fault.process) == (label, process)
