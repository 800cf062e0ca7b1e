"""What an order holds, under every sequence of takes, releases and closings, late calls included."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloudcart.services.products.holds import Hold, close, release, take

STEPS = st.lists(st.tuples(st.sampled_from(["take", "release", "close", "confirm"]), st.integers(0, 3)), max_size=30)


@given(STEPS)
def test_stock_is_out_exactly_while_taken_or_sold(steps: list[tuple[str, int]]) -> None:
    state, epoch, out = None, 0, 0
    for step, at in steps:
        if step == "take":
            if state is None:
                state, epoch, out = Hold.TAKEN, at, out + 1
                continue
            taking = take(state, epoch, at)
            out += taking.moves
            if taking.moves or (state is Hold.TAKEN and not taking.refusal):
                state, epoch = Hold.TAKEN, at
        elif step == "release" and state is not None and release(state, epoch, at):
            state, out = Hold.RELEASED, out - 1
        elif step == "close":
            out -= state is not None and close(state)
            state = Hold.CLOSED
        elif step == "confirm" and state is Hold.TAKEN:
            state = Hold.SOLD
        assert out == (state in (Hold.TAKEN, Hold.SOLD))


@given(st.integers(0, 5), st.integers(0, 5))
def test_an_attempt_that_was_given_up_takes_nothing(given_up: int, later: int) -> None:
    taking = take(Hold.RELEASED, given_up, later)
    assert taking.moves == (later > given_up)
    assert bool(taking.refusal) == (not taking.moves)


@given(st.sampled_from(Hold), st.integers(0, 5), st.integers(0, 5))
def test_a_later_attempt_is_not_released_with_an_earlier_one(state: Hold, held: int, given_up_before: int) -> None:
    if release(state, held, given_up_before):
        assert state is Hold.TAKEN
        assert held < given_up_before
