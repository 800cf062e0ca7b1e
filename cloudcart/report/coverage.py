"""Which parts of the shop were ever broken by which kind of fault: a map on which what was never tried stands out.

Adds up what many tests found; written by the pytest plugin at the end of a session as one HTML file. What a fault hit
comes from its own accounting, so a fault that hit nothing covers nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

COVERAGE_FILE: Final = "coverage.html"
_GROUPS: Final = ("Services", "Links", "Topics", "Routes of services", "Routes as clients saw them")


class Coverage:
    """Places of a shop, and how often each kind of fault hit each of them.

    Args:
        kinds: every kind of fault that there is.
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        self.kinds = sorted(kinds)
        self.places: set[str] = set()
        self.hits: dict[tuple[str, str], int] = defaultdict(int)

    def add(self, places: Iterable[str], hits: Iterable[tuple[str, str, int]]) -> None:
        """Take in the places that a test could have broken, and what it broke: place, kind, how often."""
        self.places.update(places)
        for place, kind, count in hits:
            self.places.add(place)
            if count:
                self.hits[place, kind] += count

    @property
    def broken(self) -> set[str]:
        """The places that were broken at all."""
        return {place for place, _ in self.hits}

    def lines(self) -> list[str]:
        """Return it in a few lines for a terminal: how much of each group, and what was never broken."""
        used = {kind for _, kind in self.hits}
        found = [f"coverage: {len(used)} of {len(self.kinds)} kinds of fault hit something"]
        for group, places in self.groups().items():
            never = [place for place in places if place not in self.broken]
            said = f", never: {_shortened(never)}" if never else ""
            found.append(f"  {group}: {len(places) - len(never)} of {len(places)} broken{said}")
        return found

    def groups(self) -> Mapping[str, list[str]]:
        """Return the places by what they are, in order."""
        groups: dict[str, list[str]] = {group: [] for group in _GROUPS}
        for place in sorted(self.places):
            groups[_group(place)].append(place)
        return {group: places for group, places in groups.items() if places}

    def write(self, folder: Path) -> Path:
        """Write the heat map into ``folder`` and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / COVERAGE_FILE
        path.write_text(self._page(), encoding="utf-8")
        return path

    def _page(self) -> str:
        style = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
        used = [kind for kind in self.kinds if any(kind == hit for _, hit in self.hits)]
        unused = ", ".join(kind for kind in self.kinds if kind not in used) or "none"
        tables = "".join(self._table(group, places, used) for group, places in self.groups().items())
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Coverage</title>'
            f"<style>{style}{_STYLE}</style><main><h1>What was broken by what</h1>"
            f"<p>A number is how many requests, messages or statements a kind of "
            f"fault hit. An empty row was never tried.</p>{tables}"
            f"<p>Kinds of fault that hit nothing: {escape(unused)}</p></main></html>\n"
        )

    def _table(self, group: str, places: Iterable[str], kinds: Iterable[str]) -> str:
        head = "".join(f"<th>{escape(kind)}</th>" for kind in kinds)
        most = max(self.hits.values(), default=1)
        rows = "".join(
            f'<tr><th scope="row">{escape(place)}</th>'
            + "".join(_cell(self.hits.get((place, kind), 0), most) for kind in kinds)
            + "</tr>"
            for place in places
        )
        return f"<h2>{group}</h2><table class=heat><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"


_STYLE: Final = """
.heat th, .heat td { padding: 3px 9px; } .heat td { text-align: right; min-width: 3em; }
.heat td.hit { background: color-mix(in srgb, var(--fault) calc(var(--heat) * 1%), var(--paper)); }
"""


def _cell(count: int, most: int) -> str:
    if not count:
        return "<td></td>"
    heat = 15 + 60 * math.log1p(count) / math.log1p(most)
    return f'<td class="hit" style="--heat:{heat:.0f}">{count:,}</td>'


def _group(place: str) -> str:
    if " /" in place:
        return _GROUPS[4]
    if "->" in place:
        return _GROUPS[1]
    if place.startswith("kafka:"):
        return _GROUPS[2]
    return _GROUPS[3] if ":" in place else _GROUPS[0]


def _shortened(names: list[str], most: int = 5) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def client_hits(rows: Mapping[str, list[Any]], kinds: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """Return how often each route, as clients name it, was marked by each kind of fault; 0 for routes never hit.

    Args:
        rows: the columns ``name`` and ``fault_ids`` of a run's requests.
        kinds: id of a fault to its kind.
    """
    found: dict[tuple[str, str], int] = defaultdict(int)
    for name, ids in zip(rows["name"], rows["fault_ids"], strict=True):
        found[name, ""] += 0
        for fault_id in filter(None, ids.split(",")):
            if fault_id in kinds:
                found[name, kinds[fault_id]] += 1
    return [(name, kind, count) for (name, kind), count in found.items()]
