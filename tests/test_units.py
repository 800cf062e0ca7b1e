"""Durations and shares survive the way to text and back; nonsense is refused with a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.units import format_duration, format_size, parse_duration, parse_share, parse_shift, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("80ms", 0.08), ("5s", 5.0), ("2m", 120.0), ("1h", 3600.0), ("250us", 0.00025), ("1.5s", 1.5), (3, 3.0)],
)
def test_durations_are_seconds(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@given(st.integers(min_value=0, max_value=3_600_000_000))
def test_a_duration_survives_being_written(microseconds):
    seconds = round(microseconds / 1e6, 6)
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("nonsense", ["", "5", "5 parsecs", "-1s", "1e3s", None, True, -1, float("inf"), float("nan")])
def test_nonsense_is_not_a_duration(nonsense):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(nonsense)


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), (0.3, 0.3), ("0.3", 0.3), ("100%", 1.0), (0, 0.0)])
def test_shares(text, share):
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("nonsense", ["101%", 2, -0.1, "many", None, True, float("nan")])
def test_nonsense_is_not_a_share(nonsense):
    with pytest.raises(ValueError, match="share"):
        parse_share(nonsense)


@pytest.mark.parametrize(
    ("text", "size"), [("500", 500), ("500B", 500), ("64KiB", 65536), ("1.5MB", 1_500_000), ("2GiB", 2**31), (7, 7)]
)
def test_sizes_are_bytes(text, size):
    assert parse_size(text) == size


@given(st.integers(0, 2**50))
def test_a_size_survives_being_written(size):
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("nonsense", ["", "fast", "-1B", "5 parsecs", None, True, -1, float("inf"), float("nan")])
def test_nonsense_is_not_a_size(nonsense):
    with pytest.raises(ValueError, match="size"):
        parse_size(nonsense)


@pytest.mark.parametrize(("text", "seconds"), [("-2h", -7200), ("+90s", 90), ("90s", 90), (-3, -3), (3.5, 3.5)])
def test_a_shift_may_have_a_sign(text, seconds):
    assert parse_shift(text) == seconds


@pytest.mark.parametrize("nonsense", ["", "-", "--2h", "2h-", None, float("-inf"), float("nan")])
def test_nonsense_is_not_a_shift(nonsense):
    with pytest.raises(ValueError, match="duration"):
        parse_shift(nonsense)
