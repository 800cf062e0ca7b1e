"""Amounts as people type and read them, by unit: ``250ms``, ``1%``, ``30/s``, ``512MB``, ``100``.

The counterpart of :mod:`cloudcart.units` for signals. :func:`parse_amount` reads the bound of an objective;
:func:`format_amount` writes values into reasons, terminal lines and the report.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

from cloudcart.signals.reading import Unit
from cloudcart.units import parse_duration

_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/s|rps|req/s|requests/s)?")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?i?B)", re.IGNORECASE)
_BYTES: Final = {"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def parse_amount(text: str, unit: Unit) -> float:
    """Return the number in base units that ``text`` says.

    Raises:
        ValueError: the text is not an amount of this unit; the message says how to write one.
    """
    return _PARSERS[unit](text.strip())


def _seconds(text: str) -> float:
    if _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} has no unit; write {text}s or {text}ms")
    return parse_duration(text)


def _ratio(text: str) -> float:
    number = text.removesuffix("%").strip()
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"{text!r} is not a share; write 1% or 0.01")
    value = float(number)
    if text.endswith("%"):
        return value / 100
    if value > 1:
        raise ValueError(f"{text!r} is not a share; write {text}% or a number from 0 to 1")
    return value


def _rate(text: str) -> float:
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a rate; write 30 or 30/s")
    return float(match[1])


def _size(text: str) -> float:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size; write a number and a unit, like 300MB or 512MiB")
    return float(match[1]) * _BYTES[match[2].lower()]


def _count(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number; write one without a unit, like 100")
    return float(text)


_PARSERS: Final[dict[Unit, Callable[[str], float]]] = {
    "s": _seconds,
    "ratio": _ratio,
    "1/s": _rate,
    "bytes": _size,
    "count": _count,
}


def format_amount(value: float | None, unit: Unit | str) -> str:
    """Return ``value`` as people read it, to three digits: ``412 ms``, ``0.8 %``, ``39.8/s``, ``181 MB``."""
    if value is None:
        return "no data"
    if unit == "s":
        return _format_seconds(value)
    if unit == "ratio":
        return f"{_digits(value * 100)} %"
    if unit == "1/s":
        return f"{_digits(value)}/s"
    if unit == "bytes":
        return _format_bytes(value)
    return _digits(value)


def _format_seconds(value: float) -> str:
    if value == 0:
        return "0 ms"
    if abs(value) < 0.9995e-3:
        return f"{_digits(value * 1e6)} us"
    return f"{_digits(value * 1e3)} ms" if abs(value) < 0.9995 else f"{_digits(value)} s"


def _format_bytes(value: float) -> str:
    for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= 0.9995 * size:
            return f"{_digits(value / size)} {name}"
    return f"{_digits(value)} B"


def _digits(value: float) -> str:
    """Return three significant digits, never in powers of ten; a whole number keeps all of its digits."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
