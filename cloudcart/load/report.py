"""What a generator says about itself at its end, and whether its measurement can be trusted.

A figure measured by a tool that was itself the bottleneck says nothing about the shop. The limits are here; the figures
come from the generator, the sentences go to the verdict (``LoadRun.saturated``, ``LoadRun.doubts``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from cloudcart.units import format_duration

MAX_CPU_SHARE: Final = 0.85
"""Share of one core above which a single-threaded process queues its own work: at 0.85 work waits 2.8 times as long as
it takes, on average (Pollaczek-Khinchine, M/D/1), and steeply longer beyond."""

MAX_LATENESS: Final = 0.1
"""Seconds, at p99, between the moment a visit was due and its dispatch, while visitors were free."""

MAX_WAITED: Final = 0.01
"""Share of arrivals that found every visitor busy."""

MAX_FAILED_VISITS: Final = 0.01
"""Share of visits that the journey's own code broke off with an exception."""

MAX_UNEXPECTED: Final = 0.01
"""Share of requests refused (400 to 499) although their step does not list it and no fault marked the answer."""


@dataclass(frozen=True)
class GeneratorReport:
    """The generator's own account of a run. Times in seconds; ``started`` and ``ended`` are unix seconds."""

    started: float = 0.0
    ended: float = 0.0
    arrivals: int = 0
    requests: int = 0
    unanswered: int = 0
    waited: int = 0
    visitors: int = 0
    failed_visits: int = 0
    failure: str = ""
    unexpected: dict[str, int] = field(default_factory=dict)
    cpu_share: float = 0.0
    lateness_p50: float | None = None
    lateness_p99: float | None = None
    lateness_max: float | None = None

    @classmethod
    def merged(cls, reports: Sequence[GeneratorReport]) -> GeneratorReport:
        """Return the account of several workers as one: counts added up, of how well they kept up the worst."""
        if len(reports) == 1:
            return reports[0]
        late = [report for report in reports if report.lateness_p99 is not None]
        unexpected: Counter[str] = Counter()
        for report in reports:
            unexpected.update(report.unexpected)
        counted = ("arrivals", "requests", "unanswered", "waited", "visitors", "failed_visits")
        worst = max(late, key=lambda report: report.lateness_p99 or 0.0, default=reports[0])
        return cls(
            started=min(report.started for report in reports),
            ended=max(report.ended for report in reports),
            failure=next((report.failure for report in reports if report.failure), ""),
            unexpected=dict(unexpected),
            cpu_share=max(report.cpu_share for report in reports),
            lateness_p50=worst.lateness_p50,
            lateness_p99=worst.lateness_p99,
            lateness_max=max((report.lateness_max or 0.0 for report in late), default=None),
            **{name: sum(getattr(report, name) for report in reports) for name in counted},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self)

    @property
    def saturated(self) -> str | None:
        """Why the generator was itself the bottleneck; None if it was not."""
        if self.waited > MAX_WAITED * self.arrivals:
            busy = f"{self.waited} of {self.arrivals} arrivals found all {self.visitors} visitors busy"
            return f"{busy}; raise max_visitors, or shorten the timeout"
        if self.cpu_share > MAX_CPU_SHARE:
            return f"it used {self.cpu_share:.0%} of a core (limit {MAX_CPU_SHARE:.0%}); ask for a lower rate"
        if (late := self.lateness_p99 or 0.0) > MAX_LATENESS:
            limit = format_duration(MAX_LATENESS)
            return f"visits began {late:.3f} s late at p99 (limit {limit}); ask for a lower rate, or free the machine"
        return None

    @property
    def doubts(self) -> list[str]:
        """Reasons, other than saturation, why the load was not what was asked for; one sentence each."""
        return list(self._doubts())

    def _doubts(self) -> Iterator[str]:
        if self.failed_visits > MAX_FAILED_VISITS * self.arrivals:
            yield f"the journey broke off {self.failed_visits} of {self.arrivals} visits: {self.failure}"
        refused = sum(self.unexpected.values())
        if refused > MAX_UNEXPECTED * self.requests:
            most = sorted(self.unexpected, key=lambda what: -self.unexpected[what])[:3]
            which = ", ".join(f"{what} ({self.unexpected[what]})" for what in most)
            yield f"{refused} of {self.requests} requests were refused: {which}; name in refusals= what a step expects"
