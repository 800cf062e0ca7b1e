"""What metrics did over a window: how far counters rose, where gauges stood.

``History`` is what the two sources of metrics have in common; :class:`ScrapeHistory` is the one over the lab's own
scrapes. Counters are subtracted between the pages nearest to the window's edges; nothing is extrapolated.
``metric_source`` makes golden signals of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from cloudcart.signals.exposition import Exposition, Labels, Layout
from cloudcart.signals.reading import Window
from cloudcart.signals.scrape import Page, Scrape

SERVICE: Final = "service"
"""The label that every series has here; scrapes add it, a Prometheus server gets it from its configuration."""

REPLICA: Final = "replica"
"""The label of series from replicas of a service beyond the first, whose pages are named ``service/replica``."""

_START: Final = "process_start_time_seconds"
_CLOSE: Final = 1.5  # seconds between a window's edge and the page taken for it that nobody needs to hear of


@dataclass(frozen=True, slots=True)
class Increase:
    """How far each series of a counter rose between two moments, with remarks for the reader."""

    series: Sequence[tuple[Labels, float]]
    window: Window
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """A gauge at a moment."""

    time: float
    labels: Labels
    value: float


class History(Protocol):
    """Metrics over time, wherever they are kept."""

    name: str

    def increase(self, metric: str, window: Window, service: str | None) -> Increase | None:
        """Return how far the counter rose in the window; None when it is not known at both edges."""

    def points(self, metric: str, window: Window, service: str | None) -> Sequence[Point]:
        """Return where the gauge stood, at every moment within the window that is known."""

    def services(self, window: Window) -> Collection[str]:
        """Return the services of which anything is known at the window's end."""


class ScrapeHistory:
    """The history that a run's scrapes hold."""

    name = "scrape"

    def __init__(self, scrapes: Iterable[Scrape]) -> None:
        self._pages: dict[str, list[Page]] = {}
        self._known_places: dict[tuple[str, str, Layout], list[tuple[Labels, int]]] = {}
        for scrape in scrapes:
            for process, page in scrape.pages.items():
                self._pages.setdefault(process, []).append(page)
        for pages in self._pages.values():
            pages.sort(key=lambda page: page.time)

    def increase(self, metric: str, window: Window, service: str | None) -> Increase | None:
        """Return the increase over the pages nearest to the window's edges; over the processes that have the metric."""
        found = [
            increase
            for process in self._processes(service)
            if (increase := self._process_increase(metric, window, process)) is not None
        ]
        if not found:
            return None
        return Increase(
            [series for increase in found for series in increase.series],
            Window(min(part.window.start for part in found), max(part.window.end for part in found), window.name),
            tuple(note for increase in found for note in increase.notes),
        )

    def points(self, metric: str, window: Window, service: str | None) -> list[Point]:
        """Return the gauge on every page from edge to edge."""
        return [
            Point(page.time, {**_whose(process), **labels}, value)
            for process in self._processes(service)
            for page in self._between(process, window)
            for labels, value in page.metrics.series(metric)
        ]

    def services(self, window: Window) -> Collection[str]:  # noqa: ARG002 - scrapes are of one run, so any time will do
        """Return the services that ever answered, and by name each replica beyond the first."""
        return {*self._pages, *(process.partition("/")[0] for process in self._pages)}

    def intervals(self) -> Iterable[tuple[str, Page, Page]]:
        """Yield each process with each two pages that follow one another."""
        for process, pages in self._pages.items():
            for before, after in pairwise(pages):
                yield process, before, after

    def _processes(self, service: str | None) -> Iterable[str]:
        """Return those of a service, or one replica by its number (``products/0``), or all."""
        return [process for process in self._pages if service is None or service in _names(process)]

    def _between(self, process: str, window: Window) -> list[Page]:
        pages = self._pages.get(process, [])
        if not pages:
            return []
        return pages[_nearest(pages, window.start) : _nearest(pages, window.end) + 1]

    def _process_increase(self, metric: str, window: Window, process: str) -> Increase | None:
        pages = self._between(process, window)
        if len(pages) < 2 or not any(page.metrics.layout.places(metric) for page in (pages[0], pages[-1])):
            return None
        lives = _lives(pages)
        risen = self._difference(metric, process, *lives[0])
        if len(lives) > 1:
            further = (self._difference(metric, process, None, last) for _, last in lives[1:])
            risen = _added_up([*risen, *(series for life in further for series in life)])
        actual = Window(pages[0].time, pages[-1].time, window.name)
        notes = (*restart_note(process, len(lives) - 1), *edge_note(process, window, actual))
        return Increase(risen, actual, notes)

    def _difference(
        self, metric: str, process: str, before: Exposition | None, after: Exposition
    ) -> list[tuple[Labels, float]]:
        """Return how far each series rose; one that is new has risen from zero."""
        places = self._places(metric, process, after.layout)
        values = after.values
        if before is None:
            return [(labels, values[place]) for labels, place in places]
        if before.layout is after.layout:
            earlier = before.values
            return [(labels, values[place] - earlier[place]) for labels, place in places]
        known = {_key(labels): before.values[place] for labels, place in self._places(metric, process, before.layout)}
        return [(labels, values[place] - known.get(_key(labels), 0.0)) for labels, place in places]

    def _places(self, metric: str, process: str, layout: Layout) -> list[tuple[Labels, int]]:
        """Return the series of a metric on pages of this layout, with the labels that tell the process."""
        found = self._known_places.get((metric, process, layout))
        if found is None:
            whose = _whose(process)
            found = [({**whose, **labels}, place) for labels, place in layout.places(metric)]
            self._known_places[metric, process, layout] = found
        return found


def process_of(labels: Labels) -> str:
    """Return the process that a series is of: its service, with the number of a replica beyond the first."""
    replica = labels.get(REPLICA)
    return labels[SERVICE] + (f"/{replica}" if replica else "")


def _names(process: str) -> tuple[str, str]:
    service, _, replica = process.partition("/")
    return service, f"{service}/{replica or 0}"


def _whose(process: str) -> dict[str, str]:
    """Return the labels that tell a process: the opposite of :func:`process_of`."""
    service, _, replica = process.partition("/")
    return {SERVICE: service, REPLICA: replica} if replica else {SERVICE: service}


def _nearest(pages: Sequence[Page], moment: float) -> int:
    place = bisect_left(pages, moment, key=lambda page: page.time)
    return min((i for i in (place - 1, place) if 0 <= i < len(pages)), key=lambda i: abs(pages[i].time - moment))


def _lives(pages: Sequence[Page]) -> list[tuple[Exposition, Exposition]]:
    """Return the first and last page of each life of the process: a restart sets its counters back to zero."""
    lives = [[pages[0].metrics, pages[0].metrics]]
    for before, after in pairwise(page.metrics for page in pages):
        if _restarted(before, after):
            lives.append([after, after])
        lives[-1][1] = after
    return [(first, last) for first, last in lives]


def _restarted(before: Exposition, after: Exposition) -> bool:
    starts = [next((value for _, value in page.series(_START)), None) for page in (before, after)]
    if None not in starts:
        return starts[0] != starts[1]
    return any(  # no start time on the page: a counter that fell says the same
        name.endswith((b"_total", b"_count")) and new < old for name, old, new in _paired(before, after)
    )


def _paired(before: Exposition, after: Exposition) -> Iterable[tuple[bytes, float, float]]:
    old = dict(zip(before.layout.series, before.values, strict=True))
    for series, value in zip(after.layout.series, after.values, strict=True):
        if series in old:
            yield series.partition(b"{")[0], old[series], value


def _added_up(series: Iterable[tuple[Labels, float]]) -> list[tuple[Labels, float]]:
    """Return each series once, with the sum of its increases."""
    total: dict[tuple[tuple[str, str], ...], float] = {}
    for labels, delta in series:
        key = _key(labels)
        total[key] = total.get(key, 0.0) + delta
    return [(dict(key), delta) for key, delta in total.items()]


def _key(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def restart_note(service: str, restarts: int) -> tuple[str, ...]:
    """Return what a reader must know of counters that started anew; nothing if none did."""
    if not restarts:
        return ()
    times = "once" if restarts == 1 else f"{restarts} times"
    return (f"{service} restarted {times}; what it counted between its last scrape and its end is lost",)


def edge_note(service: str, asked: Window, actual: Window) -> tuple[str, ...]:
    """Return what a reader must know of scrapes far from the window's edges; nothing if they are close."""
    late, early = actual.start - asked.start, actual.end - asked.end
    if max(abs(late), abs(early)) <= _CLOSE:
        return ()
    return (f"{service} was scraped {late:+.1f} s off the window's start and {early:+.1f} s off its end",)
