"""The lab's own scrapes: every service's ``/metrics`` read at the same moment, exactly when asked.

``experiment`` takes one at each edge of a phase and, by :class:`ScrapeLog`, one a second between; ``history`` subtracts
them. Not a time-series database: a scrape lives in memory for one run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import httpx

from cloudcart.signals.exposition import Exposition, parse_exposition

_TIMEOUT: Final = 1.0  # a paused service must not hold up the scrapes of the others for long
_HEADERS: Final = {"accept": "text/plain; version=0.0.4", "accept-encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Page:
    """What one service answered, and when (unix seconds, the middle of the call)."""

    time: float
    metrics: Exposition


@dataclass(frozen=True, slots=True)
class Scrape:
    """The page of every process at about the same moment; ``missing`` says why one has none.

    A process has its service's name, replicas beyond the first with their number: ``products``, ``products/1``.
    """

    time: float
    pages: Mapping[str, Page]
    missing: Mapping[str, str] = field(default_factory=dict)


class Scraper:
    """Reads the ``/metrics`` of several services at once, over connections that stay open.

    Args:
        urls: base URL per service, as ``{"gateway": "http://127.0.0.1:3000"}``; ``/metrics`` is added unless the URL
            has a
            path of its own. Further replicas of a service are named ``products/1``.
        timeout: seconds until a service counts as missing.
    """

    def __init__(self, urls: Mapping[str, str], *, timeout: float = _TIMEOUT) -> None:
        self._urls = {service: _metrics_url(url) for service, url in urls.items()}
        self._client = httpx.Client(timeout=timeout, headers=_HEADERS, trust_env=False)
        self._threads = ThreadPoolExecutor(max_workers=max(1, 2 * len(urls)), thread_name_prefix="cloudcart-scrape")
        self._seen: dict[str, Exposition] = {}

    def take(self) -> Scrape:
        """Scrape every service now; returns when the slowest has answered or the time is up."""
        started = time.time()
        answers = dict(zip(self._urls, self._threads.map(self._page, self._urls), strict=True))
        pages = {service: page for service, page in answers.items() if isinstance(page, Page)}
        missing = {service: page for service, page in answers.items() if isinstance(page, str)}
        return Scrape(started, pages, missing)

    def _page(self, service: str) -> Page | str:
        started = time.time()
        try:
            answer = self._client.get(self._urls[service])
            moment = (started + time.time()) / 2
            if answer.status_code != 200:
                return f"answered {answer.status_code}"
            metrics = parse_exposition(answer.content, self._seen.get(service))
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        except ValueError as error:
            return str(error)
        self._seen[service] = metrics
        return Page(moment, metrics)

    def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _metrics_url(url: str) -> str:
    base = httpx.URL(url)
    return url if base.path not in ("", "/") else str(base.copy_with(path="/metrics"))


class ScrapeLog:
    """Keeps scrapes: one every ``every`` seconds from a thread of its own, and one whenever :meth:`mark` is called.

    A context manager; :attr:`scrapes` stays readable after it has ended, and may be read while it runs.
    """

    def __init__(self, scraper: Scraper, *, every: float = 1.0) -> None:
        self._scraper = scraper
        self._every = every
        self._scrapes: list[Scrape] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="cloudcart-scrape-log", daemon=True)

    @property
    def scrapes(self) -> tuple[Scrape, ...]:
        """What has been taken, in order of time."""
        with self._lock:
            return tuple(sorted(self._scrapes, key=lambda scrape: scrape.time))

    def mark(self) -> Scrape:
        """Scrape now, as at the edge of a phase."""
        scrape = self._scraper.take()
        with self._lock:
            self._scrapes.append(scrape)
        return scrape

    def _follow(self) -> None:
        next_time = time.monotonic()
        while not self._ended.wait(max(0.0, next_time - time.monotonic())):
            self.mark()
            next_time = max(next_time + self._every, time.monotonic())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
