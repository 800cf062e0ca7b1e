"""Keeps the books of a generator: rows on their way to the file, and the figures that say how well it kept up.

Knows nothing of Locust. The generator hands ``record`` and ``refused`` to journeys and asks for the report at the end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from statistics import median

from cloudcart.load.report import GeneratorReport
from cloudcart.load.rows import Row, RowWriter


class Tally:
    """Counts of one run.

    Args:
        rows: where rows go.
        clock: unix seconds.
    """

    def __init__(self, rows: RowWriter, clock: Callable[[], float]) -> None:
        self._rows, self._clock = rows, clock
        self._started = self._ended = clock()
        self._requests = self._unanswered = self._visits = self._waited = self._failed = 0
        self._failure = ""
        self._unexpected: Counter[str] = Counter()
        self._lateness: list[float] = []
        self._measured_from = self._busy_before = self._cpu_share = 0.0

    def start(self, moment: float = 0.0) -> float:
        """Start the clock now, or as of ``moment``; return the moment (unix seconds)."""
        self._started = moment or self._clock()
        self.measure()
        return self._started

    def measure(self) -> None:
        """Forget how well it kept up so far: the warm-up is over. Rows and counts are kept."""
        self._measured_from, self._busy_before = self._clock(), time.process_time()
        self._lateness.clear()

    def record(self, row: Row) -> None:
        """Take a finished request, or one given up."""
        self._rows.add(row)
        self._requests += 1
        self._visits += row.step == 1

    def given_up(self, row: Row) -> None:
        """Take a request that was never answered, or never sent, because the load ended."""
        self._unanswered += 1
        self.record(row)

    def refused(self, what: str) -> None:
        """Count a refusal that no step of the journey expects."""
        self._unexpected[what] += 1

    def begun(self, late: float) -> None:
        """Note that a visit began so many seconds after it was due although a visitor was free."""
        self._lateness.append(late)

    def waited(self) -> None:
        """Count an arrival that found every visitor busy."""
        self._waited += 1

    def failed(self, why: str) -> None:
        """Count a visit that the journey's own code broke off; the first reason is kept."""
        self._failed += 1
        self._failure = self._failure or why

    def end(self) -> None:
        """Stop measuring: the last arrival is out. What follows is draining."""
        self._ended = self._clock()
        if (measured := self._ended - self._measured_from) > 0:
            self._cpu_share = (time.process_time() - self._busy_before) / measured

    def report(self, visitors: int) -> GeneratorReport:
        """Return the account of the run."""
        late = sorted(self._lateness)
        return GeneratorReport(
            started=self._started,
            ended=self._ended,
            arrivals=max(self._visits, self._failed),
            requests=self._requests,
            unanswered=self._unanswered,
            waited=self._waited,
            visitors=visitors,
            failed_visits=self._failed,
            failure=self._failure,
            unexpected=dict(self._unexpected),
            cpu_share=round(self._cpu_share, 4),
            lateness_p50=median(late) if late else None,
            lateness_p99=late[(99 * len(late)) // 100] if late else None,
            lateness_max=late[-1] if late else None,
        )
