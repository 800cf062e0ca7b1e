"""When a page comes: against moments worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.exceptions import UsageError
from cloudcart.signals import Objective, RowsSource, Slo, Verdict, Window, judge, time_to_alert

START = 1_000.0


def rows(seconds: float, *, bad=lambda moment: False, rate: int = 20) -> RowsSource:
    """A request each twentieth of a second, answered at once."""
    due = [START + number / rate for number in range(int(seconds * rate))]
    return RowsSource(
        {
            "due": due,
            "sent": due,
            "done": due,
            "name": ["GET /api/products"] * len(due),
            "status": [500 if bad(moment - START) else 200 for moment in due],
        }
    )


def test_a_page_comes_as_soon_as_both_windows_burn_too_fast():
    """99 % leaves 1 %. At 360 times the speed the second pair (6 h, rate 6) looks back over all 15 s there are: 6 % of
    them and of what follows must be bad, so after 0.96 s. The first pair (1 h, rate 14.4) has windows of 10 s and would
    need 1.44 s.
    """
    source = rows(30, bad=lambda moment: moment >= 15)
    found = time_to_alert(source, Slo(0.99, time_scale=360), Window(START + 15, START + 30))
    assert found.value == pytest.approx(1.0, abs=0.06)
    assert "burn rate over 6 for 60 s" in found.note


def test_no_error_no_page_and_the_reading_says_for_how_long():
    found = time_to_alert(rows(30), Slo(0.999, time_scale=360), Window(START + 10, START + 30))
    assert (found.value, found.low) == (None, 20.0)
    assert judge(Objective.parse("alert > 20s", slo="99.9%"), found).verdict is Verdict.PASS
    assert judge(Objective.parse("alert < 10s", slo="99.9%"), found).verdict is Verdict.FAIL


def test_a_page_before_the_fault_says_nothing_of_the_fault():
    found = time_to_alert(rows(20, bad=lambda _: True), Slo(0.999, time_scale=360), Window(START + 10, START + 20))
    assert judge(Objective.parse("alert < 10s", slo="99.9%"), found).verdict is Verdict.INCONCLUSIVE


@given(st.floats(0, 0.009))
def test_within_the_budget_there_is_never_a_page(share):
    source = rows(10, bad=lambda moment: (moment * 20) % 1000 < share * 10)
    errors = sum(failed for _, failed in source.answers())
    if errors == 0:
        found = time_to_alert(source, Slo(0.99, time_scale=3600), Window(START, START + 10))
        assert found.value is None


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("alert < 60s", {}, "say how many requests must be good"),
        ("burn < 1", {}, "say how many requests must be good"),
        ("errors < 1%", {"slo": "99%"}, "belongs to burn and alert"),
        ("alert < 60s", {"slo": "100%"}, "leaves no budget"),
        ("alert < 60s", {"slo": "99%", "phase": "fault"}, "since the first fault"),
        ("alert < 60s", {"slo": "99%", "source": "scrape"}, "client's rows"),
    ],
)
def test_nonsense_about_budgets_is_refused(text, options, message):
    with pytest.raises(UsageError, match=message):
        Objective.parse(text, **options)
