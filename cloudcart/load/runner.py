"""Load as its parent sees it: its rows read while they come, its end, its rows kept as Parquet; ``start`` starts it.

Synchronous and light: Locust and gevent are never imported here, because importing them patches the process (a pytest
process with a server thread then hangs). Called by the experiment, the pytest fixture and the command line.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cloudcart.exceptions import LoadError, UsageError
from cloudcart.load.child import GeneratorProcess
from cloudcart.load.profile import LoadProfile
from cloudcart.load.report import GeneratorReport
from cloudcart.load.rows import FINAL_FILE, Columns, RowReader, write_parquet
from cloudcart.load.specification import DRAIN, live_file
from cloudcart.units import parse_duration

START_DEADLINE: Final = 60.0
"""Seconds within which the clock of a load must have started."""

_PATIENCE: Final = 5.0  # beyond the drain, before a generator that should have ended is killed
_AHEAD: Final = 0.1  # seconds from the order to begin until several workers do
_LOOK: Final = 0.05  # seconds between two looks at the rows


class LoadRun:
    """Load that is being given, or has been. A context manager: leaving it stops the load and keeps the rows.

    Made by :func:`start_load`. ``started`` is the unix time from which arrivals count, ``folder`` holds the run's
    files, ``report`` is the generator's account of itself once it has ended.
    """

    def __init__(
        self,
        profile: LoadProfile,
        folder: Path,
        generators: Sequence[GeneratorProcess],
        *,
        master: GeneratorProcess | None = None,
        web: str = "",
    ) -> None:
        self.profile, self.folder = profile, folder
        self.pids = tuple(process.pid for process in generators)
        self.started = 0.0
        self.web = web
        self.report: GeneratorReport | None = None
        self.requests = folder / FINAL_FILE
        self._generators = tuple(generators)
        self._processes = self._generators if master is None else (*generators, master)
        self._live = [live_file(folder, part) for part in range(len(generators))]
        self._reader = RowReader(*self._live)
        self._reports: dict[GeneratorProcess, GeneratorReport] = {}
        self._ready: set[GeneratorProcess] = set()
        self._closed = False
        self._early_end = ""

    @property
    def pid(self) -> int:
        """The generator's process id; the first one's of several."""
        return self.pids[0]

    # While it runs

    @property
    def running(self) -> bool:
        """Whether the generator is alive and has not said that it is done."""
        self._listen(0.0)
        return not self._over

    def rows(self) -> Columns:
        """Return the rows so far, by column (see :class:`~cloudcart.load.rows.Row`), in the order in which they ended.

        The lists grow with each call and are not to be changed. Reading is incremental, so calling often is cheap.
        """
        return self._reader.update()

    def wait_for_start(self) -> None:
        """Return when the clock of the load has started; see :func:`start_load`, which has waited already."""
        self._listen_until(time.monotonic() + START_DEADLINE, lambda: bool(self.started))
        if not self.started:
            raise LoadError(self._early_end or f"the load generator did not start within {START_DEADLINE:g}s")

    def wait_for_traffic(self, deadline: str | float = 15.0) -> None:
        """Return as soon as a request was answered without error.

        Raises:
            LoadError: none was within ``deadline``, or the generator died; the message says what was seen last.
        """
        seconds = parse_duration(deadline)
        until = time.monotonic() + seconds
        while "" not in (errors := self.rows()["error"]):
            if time.monotonic() > until or not self.running:
                why = self._early_end or f"no request was answered within {seconds:g}s of load"
                last = f"the last of {len(errors)} failed with: {errors[-1]}" if errors else "none ended at all"
                raise LoadError(f"{why}; {last}; check that the shop is running")
            self._listen(_LOOK)

    def wait(self, seconds: str | float | None = None) -> None:
        """Let load be given for ``seconds`` (or ``"5s"``) or until the profile is over, whichever comes first.

        Raises:
            LoadError: the generator died.
        """
        left = self.profile.duration + DRAIN + _PATIENCE if seconds is None else parse_duration(seconds)
        self._listen_until(time.monotonic() + left, lambda: False)
        if self._early_end:
            raise LoadError(self._early_end)

    # Its end

    def stop(self, drain: str | float = DRAIN) -> Path:
        """End the load and return the path of ``requests.parquet``. Calling it again returns the same.

        Args:
            drain: how long visits under way may take to end; what has no answer by then is a row with status 0.

        Raises:
            MissingExtraError: pyarrow is not installed; the rows stay in ``requests.tsv``.
        """
        if self._closed:
            return self.requests
        seconds = parse_duration(drain)
        if self.running:
            for process in self._processes:
                process.tell(stop=seconds)
        self._listen_until(time.monotonic() + seconds + _PATIENCE, lambda: False)
        if not self._over:
            self._early_end = f"the load generator did not end within {seconds + _PATIENCE:g}s and was killed"
        self.close()
        self.rows()
        write_parquet(self._live, self.requests, {"profile": self.profile.model_dump(mode="json"), **self.summary()})
        for path in self._live:
            path.unlink(missing_ok=True)
        return self.requests

    def close(self) -> None:
        """End the generator at once, if it still runs; its rows so far stay in ``requests.tsv``. Idempotent."""
        self._closed = True
        for process in self._processes:
            process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.close()

    # What it says about itself; known after stop()

    @property
    def saturated(self) -> str | None:
        """Why the generator was itself the bottleneck, or why it did not last; None if all was well."""
        return self._early_end or (self.report.saturated if self.report is not None else None)

    @property
    def doubts(self) -> list[str]:
        """Further reasons why this was not the load that was asked for, one sentence each."""
        return self.report.doubts if self.report is not None else []

    @property
    def lateness(self) -> float | None:
        """Seconds, at p99, by which visits began later than they were due; None for the closed model."""
        return self.report.lateness_p99 if self.report is not None else None

    def summary(self) -> dict[str, Any]:
        """Return the generator's account of the run, for ``run.json``."""
        account = self.report.as_dict() if self.report is not None else {}
        return {"load": self.profile.label, **account, "saturated": self.saturated, "doubts": self.doubts}

    # What the generator says

    @property
    def _over(self) -> bool:
        return self._closed or self.report is not None or bool(self._early_end)

    def _listen_until(self, until: float, enough: Callable[[], bool]) -> None:
        while not self._over and not enough() and (left := until - time.monotonic()) > 0:
            self._listen(left)

    def _listen(self, seconds: float) -> None:
        if self._over:
            return
        talking = [process for process in self._processes if process not in self._reports]
        for process in select.select(talking, [], [], max(0.0, seconds))[0]:
            news = process.listen(0.0)
            if news is None and process not in self._reports:
                self._early_end = self._early_end or process.last_words()
            for item in news or ():
                self._take(process, item)

    def _take(self, process: GeneratorProcess, news: dict[str, Any]) -> None:
        if "error" in news:
            raise (UsageError if news["usage"] else LoadError)(news["error"])
        self.web = news.get("web", self.web)
        self.started = news.get("started", self.started)
        if "ready" in news:
            self._ready.add(process)
            if len(self._ready) == len(self._processes):
                self._begin()
        if "report" in news:
            self._reports[process] = GeneratorReport(**news["report"])
            if len(self._reports) == len(self._generators):
                self.report = GeneratorReport.merged(list(self._reports.values()))

    def _begin(self) -> None:
        """Let all workers begin at the same moment, far enough ahead for the order to reach them."""
        begin = time.time() + _AHEAD
        for process in self._processes:
            process.tell(start=begin)
