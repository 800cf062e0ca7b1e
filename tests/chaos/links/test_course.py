"""The arithmetic of stacked faults: nothing lost, nothing overtaken, everything at its time."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from cloudcart.chaos.draw import Draws
from cloudcart.chaos.links.course import Course, Stage
from cloudcart.chaos.record import ActiveFault
from cloudcart.faults import Fault, parse_fault

HIT = bytes(range(64))


def stage(fault_id: str, kind: str, **fields: object) -> Stage:
    fault: Fault = parse_fault({"kind": kind, "target": "products->postgres", **fields})
    record = ActiveFault(fault_id, fault, Draws(0, fault.identity), 0.0, math.inf)
    return Stage(record, fault, HIT if fault.drawn_for_connection else None)


def course(*stages: Stage, now: float = 0.0) -> Course:
    made = Course(lambda _record: HIT)
    made.set_stages(stages, now)
    return made


def delivered(made: Course, until: float = math.inf) -> list[tuple[float, bytes]]:
    """Let the time pass from due to due; return what went on when."""
    out = []
    while len(made) and (due := made.next_after(-math.inf)) <= until and due < math.inf:
        while (piece := made.take(due)) is not None:
            out.append((due, piece.data))
    return out


def test_delays_do_not_queue_behind_each_other():
    made = course(stage("a", "link_latency", latency="100ms"))
    made.feed(b"x", 1.0)
    made.feed(b"y", 1.05)
    assert delivered(made) == [(1.1, b"x"), (1.1500000000000001, b"y")]


def test_two_latencies_add_up():
    made = course(stage("a", "link_latency", latency="100ms"), stage("b", "link_latency", latency="50ms"))
    made.feed(b"x", 1.0)
    ((due, _),) = delivered(made)
    assert math.isclose(due, 1.15)


def test_a_line_is_shared_by_what_follows():
    made = course(stage("a", "link_bandwidth", rate="1000B"))
    made.feed(bytes(100), 0.0)
    made.feed(bytes(100), 0.0)
    out = delivered(made)
    assert math.isclose(out[-1][0], 0.2)
    assert all(len(data) <= 10 for _, data in out)


def test_bandwidth_behind_latency():
    made = course(stage("a", "link_latency", latency="1s"), stage("b", "link_bandwidth", rate="1000B"))
    for moment in (0.0, 0.01):
        made.feed(bytes(100), moment)
    assert math.isclose(delivered(made)[-1][0], 1.2)


def test_slices():
    made = course(stage("a", "link_slice", size=3, pause="10ms"))
    made.feed(b"abcdefgh", 0.0)
    assert delivered(made) == [(0.0, b"abc"), (0.01, b"def"), (0.02, b"gh")]


def test_what_a_fault_had_added_is_taken_back_when_it_ends():
    hole, late = stage("a", "link_blackhole"), stage("b", "link_latency", latency="1s")
    made = course(hole, late)
    made.feed(b"x", 0.0)
    assert made.next_after(-math.inf) == math.inf
    made.set_stages([late], 0.5)
    assert delivered(made) == [(1.0, b"x")]
    made.feed(b"y", 2.0)
    made.set_stages([], 2.1)
    assert made.next_after(-math.inf) == 2.0


def test_a_line_behind_a_hole_is_free_after_the_heal():
    hole, line = stage("a", "link_blackhole"), stage("b", "link_bandwidth", rate="1000B")
    made = course(hole, line)
    made.feed(bytes(10), 0.0)
    made.set_stages([line], 1.0)
    made.feed(bytes(10), 1.0)
    assert math.isclose(delivered(made)[-1][0], 1.01)


def test_down_ends_a_connection_that_carries_nothing():
    assert course(stage("a", "link_down"), now=5.0).ending(5.0) == "reset"


def test_reset_after_bytes():
    made = course(stage("a", "link_reset", after_bytes=5))
    made.feed(b"abcd", 0.0)
    assert made.ending(0.0) is None
    made.feed(b"efgh", 0.0)
    assert made.ending(0.0) == "reset"
    assert b"".join(data for _, data in delivered(made)) == b"abcde"


KINDS = st.one_of(
    st.builds(lambda d, j: ("link_latency", {"latency": d, "jitter": j}), st.floats(0, 1), st.floats(0, 1)),
    st.builds(lambda r: ("link_bandwidth", {"rate": r}), st.integers(100, 10**9)),
    st.builds(
        lambda s, v, p: ("link_slice", {"size": s, "variation": v, "pause": p}),
        st.integers(1, 50), st.integers(0, 60), st.floats(0, 0.01),
    ),
    st.just(("link_blackhole", {})),
)  # fmt: skip


@given(
    st.lists(KINDS, max_size=4), st.lists(st.tuples(st.binary(max_size=200), st.floats(0, 0.5)), max_size=8), st.data()
)
def test_whatever_is_stacked_and_healed_the_bytes_are_the_same(kinds, chunks, data):
    stages = [stage(str(place), kind, **fields) for place, (kind, fields) in enumerate(kinds)]
    made, now, got = course(*stages), 0.0, []
    for content, pause in chunks:
        now += pause
        got += delivered(made, now)
        made.feed(content, now)
        if stages and data.draw(st.booleans()):
            stages.pop(data.draw(st.integers(0, len(stages) - 1)))
            made.set_stages(stages, now)
    got += delivered(made)
    made.set_stages([], now)
    got += delivered(made)
    assert b"".join(content for _, content in got) == b"".join(content for content, _ in chunks)
    assert made.held == 0
