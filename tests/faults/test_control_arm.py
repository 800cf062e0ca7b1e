"""Who is in the control arm: by visit, the same for everybody who asks, as many as were asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.chaos.active import ActiveFaults
from cloudcart.exceptions import FaultError
from cloudcart.faults import parse_fault
from cloudcart.faults.control_arm import in_control_arm


@given(st.text("abc", min_size=1), st.integers(0, 10**6), st.integers(1, 9), st.floats(0, 1))
def test_all_steps_and_retries_of_a_visit_are_on_one_side(journey, arrival, step, share):
    one = in_control_arm(f"{journey}/{arrival}/1", share)
    assert in_control_arm(f"{journey}/{arrival}/{step}", share) == one
    assert in_control_arm(f"{journey}/{arrival}/{step}/2", share) == one


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_spares_the_same_visits_and_more(key, first, second):
    small, large = sorted((first, second))
    assert in_control_arm(key, large) or not in_control_arm(key, small)


def test_as_many_are_spared_as_asked_for():
    spared = sum(in_control_arm(f"checkout/{number}/1", 0.2) for number in range(10_000))
    assert 1_850 <= spared <= 2_150


def test_a_fault_neither_hits_nor_counts_who_is_spared():
    active = ActiveFaults("products", lab=True)
    fault = parse_fault({"kind": "error", "target": "products", "control": 0.5})
    record = active.add(fault, "f-1")
    keys = [f"browse/{number}/1" for number in range(400)]
    hit = [key for key in keys if active.decide(record, "/products", key) is not None]
    assert hit == [key for key in keys if not in_control_arm(key, 0.5)]
    assert record.drawn == record.injected == len(hit)


def test_work_without_a_key_belongs_to_no_visit_and_is_hit():
    active = ActiveFaults("products", lab=True)
    record = active.add(parse_fault({"kind": "error", "target": "products", "control": 0.9}), "f-1")
    assert all(active.decide(record, "/products", "") is not None for _ in range(20))


def test_a_control_arm_does_not_change_who_else_is_hit():
    plain, sparing = (
        parse_fault({"kind": "error", "target": "products", "probability": 0.3, **more})
        for more in ({}, {"control": 0.2})
    )
    assert plain.identity == sparing.identity


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "kill", "target": "orders", "control": 0.2},
        {"kind": "link_latency", "target": "products->postgres", "latency": "10ms", "control": 0.2},
        {"kind": "db_lock", "target": "products->postgres", "table": "products", "control": 0.2},
        {"kind": "error", "target": "products", "control": 1},
    ],
)
def test_faults_that_do_not_know_visits_have_no_control_arm(document):
    with pytest.raises(FaultError, match="control"):
        parse_fault(document)
