"""The two arms of a run with a control arm: visits that faults spared, and the others, at the same time on one shop.

What differs between them is the faults' doing, whatever the machine did meanwhile, so small effects show that a
comparison with the time before drowns in drift. Pure; called by ``judgement``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, variance
from typing import Any, Final

from cloudcart.faults.control_arm import in_control_arm
from cloudcart.signals import Difference, Reading, RowsSource, Window, difference
from cloudcart.signals.statistics import mean_interval

SIGNALS: Final = ("mean", "p50", "p95", "p99", "errors")
_COLUMNS: Final = ("due", "sent", "done", "name", "status", "key")

Rows = Mapping[str, Sequence[Any]]


def compare_arms(rows: Rows, window: Window, share: float) -> list[Difference]:
    """Return how the visits that faults could hit differ from those that were spared, signal by signal.

    Args:
        rows: the columns of ``requests.parquet``.
        window: while a fault was active.
        share: of visits that were spared, as the faults were told.
    """
    spared, exposed = split(rows, share)
    return [difference(_read(spared, signal, window), _read(exposed, signal, window)) for signal in SIGNALS]


def split(rows: Rows, share: float) -> tuple[Rows, Rows]:
    """Return the rows of visits that were spared, and those of the others."""
    arms: tuple[list[int], list[int]] = ([], [])
    for number, key in enumerate(rows["key"]):
        arms[not in_control_arm(key, share)].append(number)
    first, second = ({name: [rows[name][i] for i in arm] for name in _COLUMNS} for arm in arms)
    return first, second


def read_rows(requests: Path) -> Rows:
    """Return the columns that telling the arms apart takes."""
    from pyarrow import parquet

    rows: Rows = parquet.read_table(requests, columns=list(_COLUMNS)).to_pydict()
    return rows


def _read(rows: Rows, signal: str, window: Window) -> Reading:
    return visit_means(rows, window) if signal == "mean" else RowsSource(rows).read(signal, window)


def visit_means(rows: Rows, window: Window) -> Reading:
    """Return the mean latency of visits: requests of one visit are not independent of each other, visits are.

    The unit of randomisation is the unit of analysis (R. Kohavi, D. Tang, Y. Xu, Trustworthy Online Controlled
    Experiments, chapter 18).
    """
    visits: dict[str, list[float]] = defaultdict(list)
    for key, due, done in zip(rows["key"], rows["due"], rows["done"], strict=True):
        if due in window:
            visits[key.rpartition("/")[0]].append(done - due)
    means = [fmean(latencies) for latencies in visits.values()]
    mean = fmean(means) if means else None
    low, high = (mean_interval(mean, variance(means), len(means)) if mean and len(means) > 1 else None) or (None, None)
    return Reading("mean", mean, "s", len(means), low, high, window, "client", "gateway", note="of visits")
