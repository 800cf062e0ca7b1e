"""Failing fast: notices an objective that cannot hold any more, however good all is that is still to come.

So a run that ends early has the verdict that it would have had at its end. Only objectives on requests that are read
from the client's rows are watched, under a load that does not grow; all others wait for the end. Asked by ``course`` if
``run`` was told to fail fast.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cloudcart.signals import Judgement, Objective, Reading, RowsSource, Verdict, Window, golden_signal, judge

_NEVER: Final = 1e6  # seconds: a latency above every bound
_BAD: Final = {"errors": 500, "throttled": 429}

Columns = Mapping[str, Sequence[Any]]


class FailFast:
    """Holds objectives against the best that could still come.

    Args:
        objectives: the experiment's.
        rows: returns the client's rows so far.
    """

    def __init__(self, objectives: Iterable[Objective], rows: Callable[[], Columns]) -> None:
        self._objectives = [
            item for item in objectives if item.source == "client" and golden_signal(item.signal).of_requests
        ]
        self._rows = rows

    def lost(self, phases: Mapping[str | None, Window]) -> Judgement | None:
        """Return the first objective that cannot hold any more; None if all still can.

        Args:
            phases: those that have begun, with the end that they have or will have; under None the whole run.
        """
        begun = [(objective, phases[objective.phase]) for objective in self._objectives if objective.phase in phases]
        if not begun:
            return None
        rows = self._rows()
        for objective, window in begun:
            seen = RowsSource(rows).read(objective.signal, window, route=objective.route)
            best = _at_best(objective, rows, window, seen)
            if best is not None and judge(objective, best).verdict is Verdict.FAIL:
                return _lost(objective, seen)
        return None


def _lost(objective: Objective, seen: Reading) -> Judgement:
    found = judge(objective, seen)
    reason = f"cannot hold any more, whatever comes: so far {found.reason}"
    return Judgement(replace(objective, name=f"fail fast {objective.text}"), Verdict.FAIL, seen, reason)


def _at_best(objective: Objective, rows: Columns, window: Window, seen: Reading) -> Reading | None:
    """Return what will be read if every further request of the window is as the objective wishes; None if unknown.

    There may be as many as if the busiest second so far had been the rule; those under way are among them.
    """
    names = {name for name in set(rows["name"]) if RowsSource.is_of(name, objective.route)}
    due = [moment for moment, name in zip(rows["due"], rows["name"], strict=True) if name in names]
    if not due:
        return None
    busiest = max(Counter(map(math.floor, due)).values())
    wish = _wish(objective)
    further = math.ceil(busiest * window.seconds) - seen.samples if wish is not None else 0
    if further <= 0:
        return seen
    latency, status = wish or (0.0, 200)
    added = {
        "due": [window.start] * further,
        "sent": [window.start] * further,
        "done": [window.start + latency] * further,
        "name": [min(names)] * further,
        "status": [status] * further,
    }
    together = {column: [*rows[column], *values] for column, values in added.items()}
    return RowsSource(together).read(objective.signal, window, route=objective.route)


def _wish(objective: Objective) -> tuple[float, int] | None:
    """Return latency and status of a request that helps the objective; None if no request at all helps it most."""
    few = objective.operator in ("<", "<=")
    family = golden_signal(objective.signal).family
    if family == "traffic":
        return None if few else (0.0, 200)
    if family == "latency":
        return (0.0 if few else _NEVER), 200
    return 0.0, 200 if few else _BAD[objective.signal]
