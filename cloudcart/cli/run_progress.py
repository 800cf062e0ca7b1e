"""What a run shows while it goes on: a line for each phase, and on a terminal a bar, live figures and active faults.

Everything goes to standard error, so that standard output holds the result alone. Told by ``experiment.run`` about ten
times a second. Not here: the result (``run_result``).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from cloudcart.cli.output import console

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType
    from rich.live import Live

    from cloudcart.experiment import Progress

_LOOK_BACK: Final = 2.0  # seconds that the live figures are about
_READ_EVERY: Final = 0.5  # seconds between two looks at the rows, which are many
_DRAWN_PER_SECOND: Final = 4  # the display takes processor time from the shop that is being measured

PHASES: Final[Mapping[str, str]] = {
    "start": "starting a shop for this run",
    "load": "preparing users, starting the load",
    "warmup": "not measured",
    "steady": "nothing is broken",
    "fault": "something is broken",
    "recovery": "healed",
    "judge": "reading signals, judging, writing the report",
}
"""What each phase of a run is, in a few words."""


class Figures(NamedTuple):
    """What clients saw for a while: requests per second, their p99 in seconds (or None), share of errors."""

    rate: float
    p99: float | None
    errors: float

    @classmethod
    def of(cls, rows: Mapping[str, Sequence[Any]], since: float, until: float) -> Self:
        """Return the figures of the rows that were done between two moments (unix seconds).

        For the eye only: verdicts are made of readings that know their error bounds.
        """
        first = bisect_left(rows["done"], since)  # rows come in the order in which they were done
        durations = sorted(done - due for done, due in zip(rows["done"][first:], rows["due"][first:], strict=True))
        if not durations:
            return cls(0.0, None, 0.0)
        failed = sum(1 for error in rows["error"][first:] if error)
        p99 = durations[min(len(durations) - 1, int(0.99 * len(durations)))]
        return cls(len(durations) / max(until - since, 1e-3), p99, failed / len(durations))

    def __str__(self) -> str:
        p99 = "-" if self.p99 is None else f"{self.p99 * 1000:.0f} ms"
        return f"{self.rate:.0f} requests/s, p99 {p99}, errors {self.errors:.1%}"


class RunProgress:
    """Shows a run. A context manager, and the watcher that ``run`` calls.

    Args:
        explanations: phase to the sentence that is printed when it begins; :data:`PHASES` if not given.
        screen: where to; standard error if not given.
    """

    def __init__(self, explanations: Mapping[str, str] = PHASES, *, screen: Console | None = None) -> None:
        self._explanations = explanations
        self._screen = screen or console(err=True)
        self._live: Live | None = None
        self._phase, self._began = "", 0.0
        self._figures = ""
        self._read_at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Take note of where the run is."""
        now = time.time()
        if progress.phase and progress.phase != self._phase:
            self._end_phase(progress, now)
            self._begin_phase(progress, now)
        if self._live is not None:
            if progress.load is not None and now - self._read_at >= _READ_EVERY:
                self._figures, self._read_at = str(Figures.of(progress.load.rows(), now - _LOOK_BACK, now)), now
            self._live.update(self._drawn(progress))

    def _begin_phase(self, progress: Progress, now: float) -> None:
        self._phase, self._began = progress.phase, now
        said = self._explanations.get(progress.phase, "")
        self._screen.print(f"[bold]{progress.phase:<10}[/bold]{said}")
        if progress.active:
            self._screen.print(f"{'':<10}{', '.join(progress.active)}", style="red")

    def _end_phase(self, progress: Progress, now: float) -> None:
        if progress.load is not None and self._phase in ("steady", "fault", "recovery"):
            self._screen.print(f"{'':<10}{Figures.of(progress.load.rows(), self._began, now)}", style="dim")

    def _drawn(self, progress: Progress) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner
        from rich.table import Table

        grid = Table.grid(padding=(0, 2, 0, 0))
        if progress.load is None:
            grid.add_row(Spinner("dots"), f"{progress.phase} ...")
            return grid
        left = max(0.0, progress.total - progress.elapsed)
        grid.add_row(ProgressBar(progress.total, progress.elapsed, width=24), f"{left:.0f} s left", self._figures)
        for label in progress.active:
            grid.add_row("", "[red]fault[/red]", label)
        return grid

    def __enter__(self) -> Self:
        if self._screen.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._screen, transient=True, refresh_per_second=_DRAWN_PER_SECOND)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
