"""Which requests an active fault hits, how many at most, and that it ends by itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.matching import Work
from cloudcart.faults import Fault, parse_fault

ROUTE = "/products/{id}"
WORK = Work("inbound", "GET", ROUTE)


def fault(**fields: Any) -> Fault:
    return parse_fault({"kind": "error", "target": "products", **fields})


def hits(active: ActiveFaults, count: int, *, key: str = "") -> list[bool]:
    """Whether each of the next requests is hit by any fault."""
    digests = [[active.decide(r, ROUTE, key and f"{key}/{n}") for r in active.matching(WORK)] for n in range(count)]
    return [any(found) for found in digests]


@given(
    skip=st.integers(0, 5), every=st.integers(1, 4), first=st.none() | st.integers(1, 5), requests=st.integers(0, 40)
)
def test_skip_every_and_first_choose_exactly_these_requests(
    skip: int, every: int, first: int | None, requests: int
) -> None:
    active = ActiveFaults("products", lab=True)
    active.add(fault(skip=skip, every=every, first=first), "f")
    expected = [n >= skip and (n - skip) % every == 0 for n in range(requests)]
    if first is not None:
        chosen = [n for n, hit in enumerate(expected) if hit][:first]
        expected = [n in chosen for n in range(requests)]
    assert hits(active, requests) == expected
    assert active.counts()["f"] == (sum(expected), sum(expected))


@given(st.floats(0.05, 0.95), st.integers(0, 1000))
def test_first_counts_hits_not_draws(probability: float, seed: int) -> None:
    active = ActiveFaults("products", lab=True, seed=seed)
    active.add(fault(probability=probability, first=5), "f")
    assert sum(hits(active, 400)) == active.counts()["f"][1] <= 5


def test_the_same_seed_hits_the_same_requests_and_a_smaller_probability_a_part_of_them() -> None:
    def pattern(seed: int, probability: float) -> list[bool]:
        active = ActiveFaults("products", lab=True, seed=seed)
        active.add(fault(probability=probability), "f")
        return hits(active, 500, key="browse")

    assert pattern(7, 0.3) == pattern(7, 0.3) != pattern(8, 0.3)
    assert all(wide for narrow, wide in zip(pattern(7, 0.1), pattern(7, 0.3), strict=True) if narrow)


def test_a_fault_s_own_seed_goes_before_the_lab_s() -> None:
    def pattern(lab_seed: int) -> list[bool]:
        active = ActiveFaults("products", lab=True, seed=lab_seed)
        active.add(fault(probability=0.5, seed=3), "f")
        return hits(active, 100, key="browse")

    assert pattern(1) == pattern(2)


def test_without_a_key_requests_are_counted_per_route_since_the_fault_began() -> None:
    def pattern(between: int) -> list[bool]:
        active = ActiveFaults("products", lab=True)
        record = active.add(fault(probability=0.5), "f")
        assert record is not None
        found = []
        for _ in range(100):
            found.append(active.decide(record, "/a", "") is not None)
            for _ in range(between):
                active.decide(record, "/b", "")
        return found

    assert pattern(0) == pattern(3)


def test_two_faults_of_the_same_kind_draw_apart_from_each_other() -> None:
    active = ActiveFaults("products", lab=True)
    one = active.add(fault(probability=0.5), "one", ordinal=0)
    two = active.add(fault(probability=0.5), "two", ordinal=1)
    assert one is not None
    assert two is not None
    pairs = [(active.decide(one, "", f"k{n}"), active.decide(two, "", f"k{n}")) for n in range(400)]
    assert {(a is None, b is None) for a, b in pairs} == {(x, y) for x in (True, False) for y in (True, False)}


def test_max_active_leaves_out_what_would_be_too_much() -> None:
    active = ActiveFaults("products", lab=True)
    record = active.add(fault(max_active=2), "f")
    assert record is not None
    record.in_flight = 2
    assert active.decide(record, ROUTE, "") is None
    record.in_flight = 1
    assert active.decide(record, ROUTE, "") is not None
    assert (record.drawn, record.injected) == (2, 1)


def test_the_probability_grows_over_the_ramp(clock: Any) -> None:
    active = ActiveFaults("products", lab=True, clock=clock)
    record = active.add(fault(probability=0.8, ramp="10s"), "f")
    assert record is not None
    for seconds, expected in ((0, 0.0), (5, 0.4), (10, 0.8), (20, 0.8)):
        assert record.probability(1000.0 + seconds) == pytest.approx(expected)
    assert not any(hits(active, 50))
    clock.now += 30
    assert any(hits(active, 50))


def test_a_fault_never_acts_after_its_time_to_live(clock: Any) -> None:
    active = ActiveFaults("products", lab=True, clock=clock)
    record = active.add(fault(ttl="2s"), "f")
    assert record is not None
    clock.now += 1.999
    assert hits(active, 1) == [True]
    clock.now += 0.001
    assert active.decide(record, ROUTE, "") is None, "also for a request that found it before"
    assert not hits(active, 1)[0]
    assert not active.any
    assert active.counts() == {"f": (1, 1)}, "its counts are still known"


def test_a_fault_joins_with_the_time_that_it_has_left(clock: Any) -> None:
    active = ActiveFaults("products", lab=True, clock=clock)
    record = active.add(fault(ttl="60s", ramp="10s"), "f", ttl_left=5)
    assert record is not None
    assert record.deadline == clock.now + 5
    assert record.probability(clock.now) == 1.0, "the ramp has passed elsewhere already"


def test_without_the_control_plane_its_faults_end_with_the_lease_and_others_stay(clock: Any) -> None:
    active = ActiveFaults("products", lab=True, clock=clock)
    active.add(fault(), "given-in-python")
    active.replace([("leased", fault(status=500), 60.0, 0), ("elsewhere", fault(target="orders"), 60.0, 0)], lease=5)
    assert [r.id for r in active.records()] == ["given-in-python", "leased"]
    clock.now += 4
    active.renew(5)
    clock.now += 4.999
    assert len(active.records()) == 2
    clock.now += 0.001
    assert [r.id for r in active.records()] == ["given-in-python"]


def test_any_is_true_while_a_fault_is_active_anywhere_so_that_answers_get_their_marks(clock: Any) -> None:
    active = ActiveFaults("gateway", lab=True, clock=clock)
    active.replace([("f", fault(target="products"), 3.0, 0)], lease=5)
    assert active.any
    assert active.records() == []
    clock.now += 3
    active.matching(WORK)
    assert not active.any


def test_replace_ends_what_it_does_not_name_and_keeps_the_counts_of_the_rest() -> None:
    active = ActiveFaults("products", lab=True)
    active.replace([("a", fault(), 60.0, 0), ("b", fault(status=500), 60.0, 0)], lease=5)
    hits(active, 3)
    active.replace([("b", fault(status=500), 60.0, 0)], lease=5)
    assert [r.id for r in active.records()] == ["b"]
    hits(active, 2)
    assert active.counts() == {"a": (3, 3), "b": (5, 5)}


def test_a_fault_that_comes_back_after_a_lost_lease_goes_on_counting(clock: Any) -> None:
    active = ActiveFaults("products", lab=True, clock=clock)
    active.replace([("a", fault(), 60.0, 0)], lease=5)
    hits(active, 3)
    clock.now += 6
    assert active.records() == []
    active.replace([("a", fault(), 54.0, 0)], lease=5)
    hits(active, 1)
    assert active.counts() == {"a": (4, 4)}


def test_a_changed_fault_acts_anew_and_keeps_its_counts() -> None:
    active = ActiveFaults("products", lab=True)
    active.replace([("a", fault(), 60.0, 0)], lease=5)
    hits(active, 3)
    active.replace([("a", fault(probability=0.0), 60.0, 0)], lease=5)
    assert not any(hits(active, 5))
    assert active.counts() == {"a": (8, 3)}


def test_a_request_under_a_fault_that_is_changed_is_still_counted_out() -> None:
    active = ActiveFaults("products", lab=True)
    record = active.add(fault(max_active=1), "f")
    assert record is not None
    assert active.add(fault(max_active=2), "f") is record


def test_removing_twice_is_the_same_as_once() -> None:
    active = ActiveFaults("products", lab=True)
    active.add(fault(), "f")
    active.remove("f")
    active.remove("f")
    assert not active.any


def test_nothing_is_ever_active_outside_a_lab() -> None:
    active = ActiveFaults("products", lab=False)
    assert active.add(fault(), "f") is None
    active.replace([("g", fault(target="orders"), 60.0, 0)], lease=5)
    assert not active.any


@pytest.mark.parametrize(("replica", "concerned"), [(None, True), (1, True), (0, False)])
def test_a_fault_may_name_a_replica(replica: int | None, concerned: bool) -> None:
    active = ActiveFaults("products", 1, lab=True)
    assert (active.add(fault(replica=replica), "f") is not None) is concerned


def test_the_counts_of_ended_faults_are_bounded() -> None:
    active = ActiveFaults("products", lab=True)
    for n in range(300):
        active.add(fault(), f"f{n}")
        active.remove(f"f{n}")
    assert len(active.counts()) == 200
