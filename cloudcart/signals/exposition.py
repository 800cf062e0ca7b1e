"""One ``/metrics`` page as values: a quick reader of the Prometheus text format, version 0.0.4.

A page of ours has thousands of bucket lines and is read every second, so lines are split, not understood: labels are
looked at only when a metric is asked for, and pages with the same lines share one layout. Used by ``scrape`` alone.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

Labels = Mapping[str, str]

_LABEL: Final = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?')
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", '"': '"', "\\": "\\"}


class Layout:
    """The series of a page, in order; shared by all pages that have the same."""

    def __init__(self, series: list[bytes]) -> None:
        self.series = series
        self._places: dict[str, list[tuple[Labels, int]]] = {}

    def places(self, metric: str) -> list[tuple[Labels, int]]:
        """Return the labels and the position of each series of ``metric``."""
        found = self._places.get(metric)
        if found is None:
            name = metric.encode()
            found = self._places[metric] = [
                (parse_labels(line[len(name) :].strip().decode()), place)
                for place, line in enumerate(self.series)
                if line.startswith(name) and line[len(name) : len(name) + 1] in (b"", b"{", b" ")
            ]
        return found


class Exposition:
    """A page: its layout and one number per series."""

    __slots__ = ("layout", "values")

    def __init__(self, layout: Layout, values: array[float]) -> None:
        self.layout = layout
        self.values = values

    def series(self, metric: str) -> Iterator[tuple[Labels, float]]:
        """Yield the labels and value of each series of ``metric``."""
        for labels, place in self.layout.places(metric):
            yield labels, self.values[place]


def parse_exposition(page: bytes, like: Exposition | None = None) -> Exposition:
    """Read a page.

    Args:
        page: the body of an answer of ``/metrics``.
        like: an earlier page of the same service; its layout is shared when the series are the same.

    Raises:
        ValueError: a line that is no sample.
    """
    series, values = [], array("d")
    for line in page.split(b"\n"):
        if not line or line[0] == 35:  # a comment begins with '#'
            continue
        head, space, value = line.rpartition(b" ")
        try:
            if not space or (head[-1] != 125 and (b" " in head or b"{" in head)):  # no '}' before: not the short form
                head, value = _split(line)
            values.append(float(value))
        except (ValueError, IndexError):
            if not line.strip():
                continue
            raise ValueError(f"{line[:100].decode(errors='replace')!r} is not a sample of the text format") from None
        series.append(head)
    if like is not None and like.layout.series == series:
        return Exposition(like.layout, values)
    return Exposition(Layout(series), values)


def _split(line: bytes) -> tuple[bytes, bytes]:
    """Split a line that has a time stamp, tabs, or blanks in odd places."""
    line = line.strip().replace(b"\t", b" ")
    end = line.rindex(b"}") + 1 if b"{" in line else line.index(b" ")
    return line[:end], line[end:].split()[0]


@lru_cache(maxsize=65_536)
def parse_labels(text: str) -> Labels:
    """Read ``{method="GET",route="/x"}``; nothing gives no labels.

    Raises:
        ValueError: the text is no list of labels.
    """
    labels: dict[str, str] = {}
    inner = text.removeprefix("{").removesuffix("}").strip() if text else ""
    place = 0
    while place < len(inner):
        match = _LABEL.match(inner, place)
        if match is None:
            raise ValueError(f"{text!r} is not a list of labels")
        labels[match[1]] = _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), match[2])
        place = match.end()
    return labels
