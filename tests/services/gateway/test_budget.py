"""The retry budget: repeats are a share of requests in any ten seconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloudcart.services.gateway.budget import RetryBudget


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_few_repeats_are_always_allowed() -> None:
    budget = RetryBudget(0.0, clock=Clock())
    assert [budget.take() for _ in range(12)] == [True] * 10 + [False] * 2


def test_beyond_those_repeats_are_a_share_of_requests() -> None:
    budget = RetryBudget(0.2, clock=Clock())
    for _ in range(500):
        budget.requested()
    assert sum(budget.take() for _ in range(500)) == 100


def test_what_is_older_than_ten_seconds_does_not_count() -> None:
    clock = Clock()
    budget = RetryBudget(0.2, clock=clock)
    assert sum(budget.take() for _ in range(50)) == 10
    clock.now = 9.9
    assert not budget.take()
    clock.now = 10.0
    assert budget.take()


def test_cleared_it_is_as_new() -> None:
    budget = RetryBudget(0.2, clock=Clock())
    assert sum(budget.take() for _ in range(50)) == 10
    budget.clear()
    assert budget.take()


@given(st.lists(st.tuples(st.sampled_from(["request", "repeat"]), st.floats(0, 3)), max_size=300), st.floats(0, 1))
def test_no_ten_seconds_hold_more_repeats_than_the_budget(steps: list[tuple[str, float]], share: float) -> None:
    clock = Clock()
    budget = RetryBudget(share, clock=clock)
    repeats: list[float] = []
    requests = 0
    for what, pause in steps:
        clock.now += pause
        if what == "request":
            budget.requested()
            requests += 1
        elif budget.take():
            repeats.append(clock.now)
    for end in repeats:
        within = [time for time in repeats if end - 9 < time <= end]
        assert len(within) <= max(10, share * requests)
