"""Time to recover on made-up rows with a known moment of recovery."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.signals import Objective, RowsSource, SteadyState, Verdict, Window, judge, time_to_recover

HEALED = 1020.0
STEADY = SteadyState(p95=0.05, errors=0.0)


def rows(recovered, *, end=1030.0, rate=50, bad_latency=0.8, bad_status=200, gaps=()):
    """Requests at a rate: good before 1010, bad from then until ``recovered``, good afterwards; none in the gaps."""
    due = [1000 + i / rate for i in range(int((end - 1000) * rate))]
    due = [moment for moment in due if not any(a <= moment < b for a, b in gaps)]
    bad = [1010 <= moment < recovered for moment in due]
    return RowsSource(
        {
            "due": due,
            "sent": due,
            "done": [moment + (bad_latency if broken else 0.02) for moment, broken in zip(due, bad, strict=True)],
            "status": [bad_status if broken else 200 for broken in bad],
            "name": ["GET /x"] * len(due),
        }
    )


@pytest.mark.parametrize("late", [0.0, 0.3, 1.0, 2.5, 5.0])
@pytest.mark.parametrize(("latency", "status"), [(0.8, 200), (0.02, 503), (0.02, 0)])
def test_the_moment_of_recovery_is_found_to_a_tenth_of_a_second(late, latency, status):
    reading = time_to_recover(rows(HEALED + late, bad_latency=latency, bad_status=status), HEALED, STEADY, until=1030)
    assert reading.value == pytest.approx(late, abs=0.11)
    assert reading.low <= late + 1e-6
    assert late <= reading.high + 1e-6


@given(st.floats(0, 6))
def test_recovery_is_never_told_too_early(late):
    reading = time_to_recover(rows(HEALED + late), HEALED, STEADY, until=1030)
    # p95 of a second of 50 requests lets two bad ones pass, which were due over 0.04 s
    assert reading.value >= late - 0.1 - 0.04
    assert reading.value <= late + 0.11


def test_a_shop_that_does_not_recover_has_only_a_lower_bound():
    reading = time_to_recover(rows(1100), HEALED, STEADY, until=1030)
    assert reading.value is None
    assert reading.low == pytest.approx(7.0)  # the last three seconds could not be judged any more
    assert "not yet as good as the steady state (p95 up to 50 ms" in reading.note
    assert judge(Objective.parse("recovery < 3s"), reading).verdict is Verdict.FAIL


def test_a_good_moment_that_does_not_last_is_no_recovery():
    due = [1000 + i / 50 for i in range(1500)]
    bad = [1010 <= moment < 1021 or 1022.5 <= moment < 1024 for moment in due]  # good for 1.5 s, then bad again
    relapse = RowsSource(
        {
            "due": due,
            "sent": due,
            "done": [moment + 0.02 for moment in due],
            "status": [503 if broken else 200 for broken in bad],
            "name": ["GET /x"] * len(due),
        }
    )
    assert time_to_recover(relapse, HEALED, STEADY, until=1030).value == pytest.approx(4.0, abs=0.11)
    assert time_to_recover(relapse, HEALED, STEADY, until=1030, hold=0.0).value == pytest.approx(1.0, abs=0.11)


def test_a_second_without_answers_is_not_good():
    steady = SteadyState.seen(rows(1010), Window(1000, 1010))
    silent = rows(HEALED, gaps=[(1020, 1023)])
    assert time_to_recover(silent, HEALED, steady, until=1030).value == pytest.approx(3.0, abs=0.6)


def test_nothing_is_known_while_nothing_has_been_watched():
    for until in (HEALED - 1, HEALED, HEALED + 0.5):
        reading = time_to_recover(rows(HEALED), HEALED, STEADY, until=until)
        assert (reading.value, reading.low) == (None, None)


def test_rows_so_far_and_rows_at_the_end_say_the_same():
    whole = rows(HEALED + 1)
    so_far = rows(HEALED + 1, end=1025)
    answers = [time_to_recover(source, HEALED, STEADY, until=1024.9).value for source in (whole, so_far)]
    assert answers[0] == answers[1] == pytest.approx(1.0, abs=0.11)


def test_the_steady_state_is_its_worst_second_with_slack():
    seen = SteadyState.seen(rows(1010), Window(1000, 1010))
    assert seen.p95 == pytest.approx(0.03)
    assert seen.errors == 0.0
    assert seen.traffic == pytest.approx(50 - 4 * 50**0.5)
    assert SteadyState.seen(rows(1010), Window(0, 10)) is None
