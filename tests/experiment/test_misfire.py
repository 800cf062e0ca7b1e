"""The guard against faults that do nothing, or not what was declared: counts against the binomial bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from cloudcart.experiment.judgement import _misfire
from cloudcart.faults import Fault, parse_fault


@dataclass
class Counted:
    """What a run knows of an injected fault."""

    fault: Fault
    drawn: int
    injected: int


def misfire(drawn: int, injected: int, **fields: Any) -> str | None:
    fault = parse_fault({"kind": "error", "target": "products", **fields})
    return _misfire(Counted(fault, drawn, injected))  # type: ignore[arg-type]  # the same three fields


@pytest.mark.parametrize("fields", [{}, {"probability": 0.01}, {"first": 3}, {"ramp": "5s"}, {"max_active": 1}])
def test_a_fault_that_was_never_injected(fields):
    assert "hit no request" in misfire(100, 0, **fields)
    assert "hit no request" in misfire(0, 0, **fields)


@pytest.mark.parametrize(
    ("injected", "fits"),
    [(300, True), (260, True), (340, True), (245, False), (355, False), (1000, False)],  # 300 +- 3.3 * 14.5
)
def test_a_count_outside_the_binomial_bound(injected, fits):
    said = misfire(1000, injected, probability=0.3)
    assert (said is None) == fits
    assert fits or f"hit {injected} of 1000 requests, which does not fit its probability of 0.3" in said


def test_what_is_skipped_is_not_drawn_for_so_the_bound_holds_all_the_same():
    assert misfire(1000, 300, probability=0.3, skip=50, every=2) is None
    assert misfire(1000, 150, probability=0.3, skip=50, every=2)


@pytest.mark.parametrize("fields", [{"first": 20}, {"ramp": "5s"}, {"max_active": 1}])
def test_a_count_that_depends_on_time_is_only_asked_to_be_there(fields):
    assert misfire(1000, 20, probability=0.3, **fields) is None


def test_a_fault_that_shall_hit_all_hits_all():
    assert misfire(500, 500) is None
    assert misfire(500, 499)
