"""The life cycle of an order: the table in the specification, and what holds for every walk through it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.exceptions import RefusedError
from cloudcart.services.orders.states import MOVES, OPEN, Status, check_move, may_move, message

FINAL = {Status.CANCELLED, Status.RETURNED}


@given(st.sampled_from(Status), st.sampled_from(Status))
def test_a_move_is_made_or_refused_with_what_is_possible(old: Status, new: Status) -> None:
    if new in MOVES[old]:
        check_move(old, new)
        return
    with pytest.raises(RefusedError, match="possible") as refused:
        check_move(old, new)
    assert refused.value.status == 409
    assert all(possible in refused.value.error for possible in MOVES[old])


@given(st.lists(st.sampled_from(Status), max_size=20))
def test_every_walk_ends_and_never_returns(wanted: list[Status]) -> None:
    walk = [Status.AWAITING_PAYMENT]
    for new in wanted:
        try:
            check_move(walk[-1], new)
        except RefusedError:
            continue
        walk.append(new)
    assert len(set(walk)) == len(walk) <= 5
    assert (walk[-1] in FINAL) == (not MOVES[walk[-1]])
    if walk[-1] in {Status.SHIPPED, Status.DELIVERED, Status.RETURNED}:
        assert Status.CONFIRMED in walk  # nothing is sent that was not paid


def test_owners_only_cancel() -> None:
    assert [status for status in Status if may_move(status, is_admin=False)] == [Status.CANCELLED]
    assert all(may_move(status, is_admin=True) for status in Status)


def test_every_status_has_a_sentence() -> None:
    assert all(message(status).endswith(".") for status in Status)
    assert OPEN.isdisjoint(FINAL)
