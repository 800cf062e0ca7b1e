"""Reads every service's metrics once a second in a thread of its own, and exactly at phase edges when told to."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from cloudcart.signals import Scrape, Scraper

INTERVAL: Final = 1.0
"""Seconds between readings."""


class Watch:
    """Collects scrapes while it is open.

    Args:
        urls: each service's base URL.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._scraper = Scraper(urls)
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._scrapes: list[Scrape] = []
        self._thread = threading.Thread(target=self._watch, name="cloudcart-watch", daemon=True)

    @property
    def scrapes(self) -> list[Scrape]:
        """Everything read so far, in time order."""
        with self._lock:
            return sorted(self._scrapes, key=lambda scrape: scrape.at)

    def edge(self) -> None:
        """Read now: a phase begins or ends."""
        scrape = self._scraper.take()
        with self._lock:
            self._scrapes.append(scrape)

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            self.edge()

    def __enter__(self) -> Self:
        self.edge()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
        self._scraper.close()
