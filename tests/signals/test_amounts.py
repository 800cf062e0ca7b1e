"""Amounts as typed and as read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.signals.amounts import format_amount, parse_amount


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("250ms", "s", 0.25),
        ("2 s", "s", 2.0),
        ("1%", "ratio", 0.01),
        ("0.5 %", "ratio", 0.005),
        ("0.01", "ratio", 0.01),
        ("130%", "ratio", 1.3),
        ("30", "1/s", 30.0),
        ("30/s", "1/s", 30.0),
        ("30 rps", "1/s", 30.0),
        ("300MB", "bytes", 3e8),
        ("512 MiB", "bytes", 512 * 2**20),
        ("100", "count", 100.0),
    ],
)
def test_amounts_are_read(text, unit, value):
    assert parse_amount(text, unit) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "unit", "hint"),
    [
        ("2", "s", "write 2s or 2ms"),
        ("fast", "s", "write a number and a unit"),
        ("5", "ratio", "write 5% or a number from 0 to 1"),
        ("few", "ratio", "write 1% or 0.01"),
        ("-1%", "ratio", "write 1% or 0.01"),
        ("30/min", "1/s", "write 30 or 30/s"),
        ("300", "bytes", "write a number and a unit"),
        ("many", "count", "write one without a unit"),
    ],
)
def test_nonsense_is_refused_with_what_to_write(text, unit, hint):
    with pytest.raises(ValueError, match=hint):
        parse_amount(text, unit)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "no data"),
        (0.0, "s", "0 ms"),
        (0.00025, "s", "250 us"),
        (0.41234, "s", "412 ms"),
        (0.99999, "s", "1 s"),
        (12.345, "s", "12.3 s"),
        (0.00812, "ratio", "0.812 %"),
        (0, "ratio", "0 %"),
        (1, "ratio", "100 %"),
        (39.84, "1/s", "39.8/s"),
        (181_234_567, "bytes", "181 MB"),
        (999_999_999, "bytes", "1 GB"),
        (12_345, "count", "12,345"),
        (3, "count", "3"),
    ],
)
def test_amounts_are_written_with_three_digits(value, unit, text):
    assert format_amount(value, unit) == text


@given(st.floats(1e-6, 1e6), st.sampled_from(["s", "ratio", "1/s", "bytes", "count"]))
def test_what_is_written_is_within_half_a_percent(value, unit):
    number, _, suffix = format_amount(value, unit).replace("/s", " /s").partition(" ")
    scale = {"us": 1e-6, "ms": 1e-3, "%": 0.01, "kB": 1e3, "MB": 1e6, "GB": 1e9}.get(suffix, 1.0)
    assert float(number.replace(",", "")) * scale == pytest.approx(value, rel=0.0051)
