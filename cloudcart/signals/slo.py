"""Error budgets and burn rates: how fast a service uses up the errors that its objective allows.

Definitions and the alerting pairs are those of Google's Site Reliability Workbook, chapter 5 ("Alerting on SLOs",
table 5-8). Everything takes a time scale, so that a month of budget fits into the hour of a workshop. Pure
arithmetic: where the error ratios come from is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from cloudcart.exceptions import UsageError

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class BurnAlert:
    """Alert when a share of the budget would go within ``long``: the burn rate is high over the long *and* the short
    window.

    The long window makes it significant, the short one (a twelfth) lets it end soon after the errors end.
    """

    severity: Literal["page", "ticket"]
    budget_share: float
    long: float
    short: float

    def burn_rate(self, period: float) -> float:
        """Return the burn rate that uses up ``budget_share`` of a ``period``'s budget within ``long``."""
        return self.budget_share * period / self.long

    def scaled(self, time_scale: float) -> BurnAlert:
        """Return it for a world in which time runs ``time_scale`` times as fast."""
        return BurnAlert(self.severity, self.budget_share, self.long / time_scale, self.short / time_scale)


BURN_ALERTS: Final = (
    BurnAlert("page", 0.02, 1 * _HOUR, _HOUR / 12),
    BurnAlert("page", 0.05, 6 * _HOUR, _HOUR / 2),
    BurnAlert("ticket", 0.10, 3 * _DAY, 6 * _HOUR),
)
"""The workbook's pairs; over 30 days they are burn rates of 14.4, 6 and 1."""


@dataclass(frozen=True, slots=True)
class Slo:
    """A share of requests that must be good, over a period.

    Args:
        target: as 0.999; below 1, since an objective without a budget cannot be burnt.
        period: seconds.
        time_scale: how many times faster than real time the period and all windows run.
    """

    target: float
    period: float = 30 * _DAY
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise UsageError(f"an SLO's target lies between 0 and 1, like 0.999, not {self.target!r}")
        if self.period <= 0 or self.time_scale <= 0:
            raise UsageError("an SLO's period and time scale are above zero")

    @property
    def budget(self) -> float:
        """The share of requests that may fail."""
        return 1 - self.target

    def burn_rate(self, error_ratio: float) -> float:
        """Return how fast this ratio of errors uses the budget up; at 1 it lasts for just the period."""
        return error_ratio / self.budget

    def budget_spent(self, errors: float, requests: float) -> float:
        """Return the share of the budget of so many requests that the errors have used; above 1 it is overspent."""
        return errors / (requests * self.budget) if requests else 0.0

    def seconds_left(self, error_ratio: float, spent: float = 0.0) -> float:
        """Return how long the rest of the budget lasts at this ratio of errors."""
        rate = self.burn_rate(error_ratio)
        return max(0.0, 1 - spent) * self.period / self.time_scale / rate if rate > 0 else float("inf")

    def alerts(self) -> tuple[BurnAlert, ...]:
        """Return the alerting pairs on this SLO's time scale."""
        return tuple(alert.scaled(self.time_scale) for alert in BURN_ALERTS)

    def firing(self, error_ratio: Callable[[float], float | None]) -> tuple[BurnAlert, ...]:
        """Return the alerts that fire.

        Args:
            error_ratio: the ratio of errors over the last so many seconds; None where there were no requests.
        """
        return tuple(alert for alert in self.alerts() if self._fires(alert, error_ratio))

    def _fires(self, alert: BurnAlert, error_ratio: Callable[[float], float | None]) -> bool:
        threshold = alert.burn_rate(self.period / self.time_scale)
        ratios = [error_ratio(window) for window in (alert.long, alert.short)]
        return all(ratio is not None and self.burn_rate(ratio) > threshold for ratio in ratios)
