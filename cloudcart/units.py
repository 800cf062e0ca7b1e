"""Quantities that people type: ``80ms``, ``1.5s``, ``2m``, ``5%``, ``64KiB``.

Inside the program a duration is a float of seconds and a share is a float from 0 to 1; only the edges (documents,
markers, command line, reports) see text. Used by faults, objectives, load profiles and the command line.
"""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_LARGEST: Final = sys.float_info.max  # whole numbers can be larger still
_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m|h)\s*")
_DURATION_PATTERN: Final = r"^\d+(\.\d+)?(us|ms|s|m|h)$"


def parse_duration(value: str | float) -> float:
    """Return seconds for text with a unit (``80ms``, ``5s``, ``2m``); a bare number is seconds already.

    Raises:
        ValueError: the text is not a non-negative number followed by us, ms, s, m or h.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"a duration is text like '80ms' or a number of seconds, not {value!r}")
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise ValueError(f"{value!r} is not a duration; write a number and a unit, like 80ms, 5s or 2m")
        return float(match[1]) * _SECONDS[match[2]]
    if not 0 <= value <= _LARGEST:
        raise ValueError(f"a duration is finite and not negative, got {value!r}")
    return float(value)


def format_duration(seconds: float) -> str:
    """Return short text for a duration, with six digits: ``0.08`` gives ``80ms``, ``60.0`` gives ``60s``."""
    if seconds == 0:
        return "0s"
    unit = "us" if seconds < 1e-3 else "ms" if seconds < 1 else "s"
    amount = seconds / _SECONDS[unit]
    text = f"{amount:.6g}"
    if "e" in text:  # parse_duration reads no exponents
        text = f"{amount:.6f}".rstrip("0").rstrip(".")
    return text + unit


def _exact_duration(seconds: float) -> str:
    """Return text that gives the very same duration when parsed, since documents are copied from process to process."""
    text = format_duration(seconds)
    return text if parse_duration(text) == seconds else f"{Decimal(repr(seconds)):f}s"


def parse_share(value: str | float) -> float:
    """Return a share from 0 to 1 for ``0.05`` or ``5%``.

    Raises:
        ValueError: not a number, or outside 0 to 1.
    """
    if isinstance(value, bool):
        raise ValueError(f"a share is a number, not {value!r}")
    try:
        share = float(value[:-1]) / 100 if isinstance(value, str) and value.endswith("%") else float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{value!r} is not a share; write 0.05 or 5%") from None
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies between 0 and 1 (0% to 100%), got {value!r}")
    return share


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(_exact_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _DURATION_PATTERN, "examples": ["80ms", "5s"]}),
]
"""Seconds inside, text with a unit in documents."""


def defaults_as_text(schema: dict[str, Any]) -> None:
    """Write a model's default durations as its documents do: a ``json_schema_extra`` of pydantic's."""
    for field in schema.get("properties", {}).values():
        if field.get("type") == "string" and isinstance(field.get("default"), float):
            field["default"] = format_duration(field["default"])


_BYTES: Final = {"": 1, "B": 1, "kB": 1000, "MB": 1000**2, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|kB|MB|KiB|MiB|GiB|)\s*")


def parse_size(value: str | float) -> float:
    """Return bytes for text with a unit (``64KiB``, ``1.5MB``); a bare number is bytes already.

    Raises:
        ValueError: not a non-negative number followed by B, kB, MB, KiB, MiB or GiB.
    """
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None:
            raise ValueError(f"{value!r} is not a size; write a number and a unit, like 64KiB or 500B")
        return float(match[1]) * _BYTES[match[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
        raise ValueError(f"a size is text like '64KiB' or a number of bytes, not {value!r}")
    return float(value)


def format_size(size: float) -> str:
    """Return text for a number of bytes, in the largest unit in which it is whole: ``65536`` gives ``64KiB``."""
    for unit in ("GiB", "MiB", "KiB", "MB", "kB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size / _BYTES[unit]:.0f}{unit}"
    return f"{size:f}".rstrip("0").rstrip(".") + "B"


Size = Annotated[
    float,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": ["number", "string"], "examples": ["64KiB", 500]}),
]
"""Bytes; text with a unit is understood. A rate is a size per second."""


def parse_shift(value: str | float) -> float:
    """Return seconds for a duration that may have a sign (``-2h``, ``90s``).

    Raises:
        ValueError: as :func:`parse_duration`.
    """
    if isinstance(value, str):
        text = value.strip()
        return -parse_duration(text[1:]) if text.startswith("-") else parse_duration(text.removeprefix("+"))
    if isinstance(value, int | float) and value < 0:
        return -parse_duration(-value)
    return parse_duration(value)


Shift = Annotated[
    float,
    BeforeValidator(parse_shift),
    PlainSerializer(lambda seconds: ("-" if seconds < 0 else "") + _exact_duration(abs(seconds)), return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2h", "-90s"]}),
]
"""Seconds forward or, with a minus sign, back; text with a unit in documents."""

Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1, "examples": [0.05]}),
]
"""A probability or ratio from 0 to 1; ``5%`` is understood."""
