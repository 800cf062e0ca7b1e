"""Error budgets of a run: what the objectives with ``slo=`` had to spend, and how fast it was spent in each phase.

For readers, beside the verdicts: the objectives themselves (``burn``, ``alert``) are judged like all others. Called by
``judgement``; the arithmetic is ``signals.slo``'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from cloudcart.experiment.readings import Readings
from cloudcart.signals import Objective, Slo, Window


def budgets(readings: Readings, objectives: Iterable[Objective], time_scale: float) -> list[dict[str, Any]]:
    """Return an entry for each error budget that an objective is about, once for each route and service."""
    asked = {
        (objective.slo, objective.source, objective.service, objective.route): objective
        for objective in objectives
        if objective.slo is not None
    }
    return [entry for objective in asked.values() if (entry := _entry(readings, objective, time_scale))]


def _entry(readings: Readings, objective: Objective, time_scale: float) -> dict[str, Any] | None:
    assert objective.slo is not None  # chosen so
    slo = Slo(objective.slo, time_scale=time_scale)
    whole = readings.read(objective.source, replace(objective, signal="errors"), readings.whole())
    if whole.value is None:
        return None
    errors = round(whole.value * whole.samples)
    left = slo.seconds_left(whole.value)
    return {
        "slo": objective.slo,
        "source": objective.source,
        "service": whole.service,
        "route": objective.route,
        "requests": whole.samples,
        "errors": errors,
        "spent": slo.budget_spent(errors, whole.samples),
        "burn": {window.name: _burn(readings, objective, slo, window) for window in readings.measured()},
        "period": slo.period / time_scale,
        "seconds_left": None if math.isinf(left) else left,
    }


def _burn(readings: Readings, objective: Objective, slo: Slo, window: Window) -> float | None:
    errors = readings.read(objective.source, replace(objective, signal="errors"), window)
    return None if errors.value is None else slo.burn_rate(errors.value)
