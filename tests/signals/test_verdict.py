"""How verdicts merge."""

from __future__ import annotations

import pytest

from cloudcart.signals import Verdict, merge


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([], "inconclusive"),
        (["pass"], "pass"),
        (["pass", "pass"], "pass"),
        (["pass", "inconclusive"], "inconclusive"),
        (["pass", "inconclusive", "fail"], "fail"),
        (["fail", "pass"], "fail"),
    ],
)
def test_the_worst_wins_and_nothing_is_no_pass(verdicts, whole):
    assert merge(Verdict(verdict) for verdict in verdicts) is Verdict(whole)
