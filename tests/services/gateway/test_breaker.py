"""The circuit breaker as a state machine, against a model of it."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cloudcart.services.gateway.breaker import BreakerState, CircuitBreaker

LIMIT, RESET = 3, 5.0


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin, succeed, fail and are given up in any order, while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = CircuitBreaker(LIMIT, RESET, clock=lambda: self.now)
        self.row = 0
        self.opened: float | None = None
        self.trial = False

    @rule(seconds=st.sampled_from([0.0, 1.0, 4.9, 5.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        expected = self.opened is None or (not self.trial and self.now - self.opened >= RESET)
        assert self.breaker.allow() is expected
        self.trial = (expected and self.opened is not None) or self.trial

    @rule()
    def succeed(self) -> None:
        self.breaker.succeeded()
        self.row, self.opened, self.trial = 0, None, False

    @rule()
    def fail(self) -> None:
        self.breaker.failed()
        self.row += 1
        if self.trial or (self.opened is None and self.row >= LIMIT):
            self.opened = self.now
        self.trial = False

    @precondition(lambda self: self.trial)
    @rule()
    def give_up(self) -> None:
        self.breaker.abandoned()
        self.trial = False

    @invariant()
    def shows_its_state(self) -> None:
        if self.opened is None:
            expected = BreakerState.CLOSED
        else:
            expected = BreakerState.HALF_OPEN if self.now - self.opened >= RESET else BreakerState.OPEN
        assert self.breaker.state is expected


BreakerMachine.TestCase.settings = settings(max_examples=100, deadline=None)
TestBreaker = BreakerMachine.TestCase


def test_switched_off_it_never_opens() -> None:
    breaker = CircuitBreaker(math.inf, RESET)
    for _ in range(1000):
        assert breaker.allow()
        breaker.failed()
    assert breaker.state is BreakerState.CLOSED
