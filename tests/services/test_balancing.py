"""Who gets the next request, who is ejected and who comes back: on a clock that the tests move."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from prometheus_client import CollectorRegistry

from cloudcart.services.balancing import Balancer, Call, balancers
from cloudcart.services.balancing_metrics import Ejections
from cloudcart.settings import Settings

EJECTION = 5.0
FAST, SLOW = 0.01, 1.0


class Shop:
    """Requests to some replicas, one after the other; ``takes`` and ``fails`` say what becomes of them."""

    def __init__(self, count: int, *, ejection: bool = True) -> None:
        self.now = 100.0
        bases = [f"http://r{number}" for number in range(count)]
        self.balancer = Balancer("products", bases, ejection=ejection, seconds=EJECTION, clock=lambda: self.now)
        self.takes: dict[int, float] = {}
        self.fails: set[int] = set()

    def ask(self, times: int = 1) -> list[int]:
        """Return which replicas the requests went to."""
        asked = []
        for _ in range(times):
            call = self.balancer.begin()
            number = call.replica.number
            self.now += self.takes.get(number, FAST)
            self.balancer.ended(call, failed=number in self.fails)
            asked.append(number)
        return asked

    def ejected(self) -> list[int]:
        return [replica.number for replica in self.balancer.replicas if replica.until is not None]

    def reasons(self, number: int) -> dict[str, int]:
        return dict(self.balancer.replicas[number].ejections)


def test_healthy_replicas_take_turns():
    assert Shop(3).ask(7) == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_slow_one_is_soon_left_alone(count):
    shop = Shop(count)
    shop.takes[1] = SLOW
    assert shop.ask(20 * count).count(1) == 5
    assert (shop.ejected(), shop.reasons(1)) == ([1], {"latency": 1})


def test_a_failing_one_is_soon_left_alone_though_it_is_fast():
    shop = Shop(2)
    shop.takes[1], shop.fails = 0.001, {1}
    assert shop.ask(40).count(1) == 5
    assert shop.reasons(1) == {"errors": 1}


def test_one_that_stands_still_is_noticed_before_it_answers():
    shop = Shop(2)
    shop.ask(10)
    waiting = []
    while not shop.ejected():
        call = shop.balancer.begin()
        shop.now += FAST
        if call.replica.number == 1:
            waiting.append(call)
        else:
            shop.balancer.ended(call, failed=False)
        assert len(waiting) < 20
    assert shop.ejected() == [1]


def test_without_the_switch_each_gets_the_same():
    shop = Shop(2, ejection=False)
    shop.takes[1], shop.fails = SLOW, {1}
    assert shop.ask(40).count(1) == 20
    assert not shop.ejected()


@pytest.mark.parametrize("everywhere", [{"takes": SLOW}, {"fails": True}])
def test_what_all_suffer_from_ejects_nobody(everywhere):
    shop = Shop(3)
    shop.takes = dict.fromkeys(range(3), everywhere.get("takes", FAST))
    shop.fails = {0, 1, 2} if "fails" in everywhere else set()
    shop.ask(90)
    assert not shop.ejected()


def test_a_difference_that_nobody_notices_ejects_nobody():
    shop = Shop(2)
    shop.takes = {0: 0.001, 1: 0.04}
    shop.ask(60)
    assert not shop.ejected()


def test_half_may_be_ejected_and_no_more():
    shop = Shop(5)
    shop.fails = {3, 4}
    shop.ask(200)
    assert shop.ejected() == [3, 4]
    shop.fails = {2, 3, 4}
    shop.ask(200)
    assert shop.ejected() == [3, 4]


def test_where_most_fail_none_stands_out():
    shop = Shop(4)
    shop.fails = {1, 2, 3}
    shop.ask(200)
    assert not shop.ejected()


def test_it_comes_back_when_a_trial_goes_well():
    shop = Shop(2)
    shop.takes[1] = SLOW
    shop.ask(20)
    shop.takes[1] = FAST
    shop.now += EJECTION
    assert shop.ask(10).count(1) == 5
    assert not shop.ejected()


def test_while_a_trial_is_under_way_no_other_request_takes_the_risk():
    shop = Shop(2)
    shop.takes[1] = SLOW
    shop.ask(20)
    shop.now += EJECTION
    calls = [shop.balancer.begin() for _ in range(6)]
    assert [call.replica.number for call in calls].count(1) == 1
    trial = next(call for call in calls if call.replica.number == 1)
    shop.balancer.abandoned(trial)
    assert 1 in [shop.balancer.begin().replica.number for _ in range(2)], "a trial given up says nothing: try again"


def test_each_ejection_in_a_row_is_longer():
    shop = Shop(2)
    shop.takes[1] = SLOW
    shop.ask(20)
    lengths = []
    for _ in range(7):
        ejected, again = shop.now, [0]
        while 1 not in again:
            shop.now += 0.5
            again = shop.ask(2)
        lengths.append(round((shop.now - ejected) / EJECTION))
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (1, 5)


def test_answers_from_before_the_ejection_do_not_count_afterwards():
    shop = Shop(2)
    calls = [shop.balancer.begin() for _ in range(20)]
    old = [call for call in calls if call.replica.number == 1]
    for call in set(calls) - set(old):
        shop.balancer.ended(call, failed=False)
    shop.fails = {1}
    shop.ask(30)
    assert shop.ejected() == [1]
    shop.fails = set()
    shop.now += EJECTION
    shop.ask(4)
    for call in old:
        shop.balancer.ended(call, failed=True)
    assert not shop.ejected()


def test_a_reset_admits_all():
    shop = Shop(2)
    shop.fails = {1}
    shop.ask(30)
    shop.balancer.forget()
    assert not shop.ejected()


def test_only_a_service_with_replicas_has_a_balancer():
    assert not balancers(Settings().with_overrides({"urls.products": "http://a"}))
    two = {"urls.products": "http://a", "urls.products_replicas": ["http://b"], "gateway.ejection": "9s"}
    made = balancers(Settings().with_overrides(two))
    assert {base: [replica.base for replica in one.replicas] for base, one in made.items()} == {
        "http://a": ["http://a", "http://b"]
    }


def test_metrics_tell_what_happened():
    shop, registry = Shop(2), CollectorRegistry()
    Ejections([shop.balancer], registry)
    shop.takes[1] = SLOW
    shop.ask(30)
    where = {"upstream": "products", "replica": "1"}
    assert registry.get_sample_value("upstream_ejections_total", {**where, "reason": "latency"}) == 1
    assert registry.get_sample_value("upstream_ejections_total", {**where, "reason": "errors"}) == 0
    assert registry.get_sample_value("upstream_replica_ejected", where) == 1


class BalancerMachine(RuleBasedStateMachine):
    """Requests begin, end well or badly and are given up in any order, on two to five replicas, while time passes."""

    @initialize(count=st.integers(2, 5))
    def start(self, count: int) -> None:
        self.now = 0.0
        self.balancer = Balancer("products", ["http://r"] * count, seconds=EJECTION, clock=lambda: self.now)
        self.calls: list[Call] = []

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.06, 1.0, 6.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(times=st.integers(1, 12))
    def begin(self, times: int) -> None:
        for _ in range(times):
            call = self.balancer.begin()
            assert call.replica.until is None or call.replica.until <= self.now, "an ejected replica is left alone"
            self.calls.append(call)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), failed=st.booleans())
    def end(self, data: st.DataObject, failed: bool) -> None:
        self.balancer.ended(self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1))), failed=failed)

    @precondition(lambda self: self.calls)
    @rule(failing=st.integers(0, 4))
    def end_all(self, failing: int) -> None:
        for call in self.calls:
            self.balancer.ended(call, failed=call.replica.number == failing)
        self.calls.clear()

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        self.balancer.abandoned(self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1))))

    @invariant()
    def half_of_them_stay(self) -> None:
        if hasattr(self, "balancer"):
            assert 2 * self.balancer.ejected <= len(self.balancer.replicas)

    @invariant()
    def a_trial_is_one_request_of_a_replica_that_is_out(self) -> None:
        for replica in self.balancer.replicas if hasattr(self, "balancer") else ():
            if replica.trial is not None:
                assert replica.until is not None
                assert replica.trial in replica.under_way

    @invariant()
    def nothing_is_forgotten_or_kept(self) -> None:
        if hasattr(self, "balancer"):
            under_way = {call for replica in self.balancer.replicas for call in replica.under_way}
            assert under_way == set(self.calls)

    def teardown(self) -> None:
        """Whatever happened, replicas that are well again are all back after a while."""
        if not hasattr(self, "balancer"):
            return
        for call in self.calls:
            self.balancer.abandoned(call)
        for _ in range(20 * len(self.balancer.replicas)):
            self.now += EJECTION
            self.balancer.ended(self.balancer.begin(), failed=False)
        assert self.balancer.ejected == 0


BalancerMachine.TestCase.settings = settings(max_examples=100, deadline=None)
TestBalancer = BalancerMachine.TestCase
