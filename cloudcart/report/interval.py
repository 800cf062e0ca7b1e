"""Draws a reading beside its bound, small enough for a table's cell: interval, value, and the bad side shaded.

Colours come from the page's style sheet, as for ``svg``.
"""

from __future__ import annotations

from html import escape
from typing import Final

from cloudcart.report.scale import Scale

_WIDTH: Final = 168


def draw_interval(
    value: float | None, low: float | None, high: float | None, bound: float, good: str, label: str
) -> str:
    """Return a small drawing of a reading beside its bound: interval, value, and the bad side shaded.

    Args:
        value: the reading; None: no data.
        low: lower end of the interval; None: unbounded.
        high: upper end; None: unbounded.
        bound: what it is compared with.
        good: ``below`` or ``above``: the good side.
        label: what it says, for those who do not see it.
    """
    known = [number for number in (value, low, high, bound) if number is not None]
    top = max(known) * 1.18 or 1.0
    x = Scale(0.0, top, 4, _WIDTH - 4)
    edge, end = x(bound), _WIDTH - 4
    bad = (edge, end) if good == "below" else (4.0, edge)
    left, right = x(low or 0.0), end if high is None else x(high)
    parts = [
        f'<svg class="interval" viewBox="0 0 {_WIDTH} 22" width="{_WIDTH}" height="22" role="img">',
        f"<title>{escape(label)}</title>",
        f'<rect class="bad" x="{bad[0]:.1f}" y="3" width="{bad[1] - bad[0]:.1f}" height="16"/>',
        f'<line class="axis" x1="4" x2="{end}" y1="19" y2="19"/>',
    ]
    if value is not None or low is not None:
        parts.append(
            f'<rect class="range" x="{left:.1f}" y="8" width="{max(1.5, right - left):.1f}" height="6" rx="2"/>'
        )
    if value is not None:
        parts.append(f'<circle class="value" cx="{x(value):.1f}" cy="11" r="4.5"/>')
    parts.append(f'<line class="bound-tick" x1="{edge:.1f}" x2="{edge:.1f}" y1="1" y2="21"/></svg>')
    return "".join(parts)
