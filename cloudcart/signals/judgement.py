"""From an objective and a reading to a verdict with its reason.

Three-valued and honest: pass only if the whole 95 % interval is on the good side of the bound, fail only if the whole
interval is on the bad side, otherwise inconclusive, with how many samples it would take. Called by ``experiment``; what
makes a whole run inconclusive (a saturated generator, a fault that never acted) is for ``experiment`` to say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from cloudcart.signals.amounts import format_amount
from cloudcart.signals.golden import golden_signal
from cloudcart.signals.objective import Objective
from cloudcart.signals.reading import Reading
from cloudcart.signals.statistics import clopper_pearson, samples_needed
from cloudcart.signals.verdict import Verdict

_TOO_MANY: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """An objective, what was read for it, and what follows."""

    objective: Objective
    verdict: Verdict
    reading: Reading
    reason: str

    def document(self) -> dict[str, Any]:
        """Return the entry of ``run.json``."""
        reading = self.reading
        return {
            "objective": self.objective.text,
            "name": self.objective.name,
            "verdict": str(self.verdict),
            "reading": reading.value,
            "unit": self.objective.unit,
            "bound": self.objective.bound,
            "samples": reading.samples,
            "error_bound": reading.error_bound,
            "low": reading.low,
            "high": reading.high,
            "source": reading.source,
            "service": reading.service,
            "route": reading.route,
            "phase": self.objective.phase,
            "slo": self.objective.slo,
            "reason": self.reason,
        }

    def line(self) -> str:
        """Return it in one line, for a terminal."""
        return f"{self.verdict.upper():12} {self.objective}: {self.reason}"


def judge(objective: Objective, reading: Reading) -> Judgement:
    """Return the verdict on ``objective`` that ``reading`` allows."""
    verdict = _verdict(objective, reading)
    reason = _doubt(objective, reading) if verdict is Verdict.INCONCLUSIVE else _finding(reading)
    note = f" ({reading.note})" if reading.note else ""
    return Judgement(objective, verdict, reading, f"{reason}{note}")


def _verdict(objective: Objective, reading: Reading) -> Verdict:
    """Compare the interval with the bound.

    An interval of some length stands for values strictly inside it (order statistics, bucket edges, limits of a
    share), so one that just touches the bound is on its side; a single exact value is compared as the operator says.
    """
    if reading.value is None and reading.low is None and reading.high is None:
        return Verdict.INCONCLUSIVE
    low = -math.inf if reading.low is None else reading.low
    high = math.inf if reading.high is None else reading.high
    if low == high:
        return Verdict.PASS if objective.met_by(low) else Verdict.FAIL
    upper_bounded = objective.operator in ("<", "<=")
    if high <= objective.bound:
        return Verdict.PASS if upper_bounded else Verdict.FAIL
    if low >= objective.bound:
        return Verdict.FAIL if upper_bounded else Verdict.PASS
    return Verdict.INCONCLUSIVE


def _finding(reading: Reading) -> str:
    unit = reading.unit
    if reading.value is None:
        return f"at least {format_amount(reading.low, unit)}"
    if reading.low == reading.high:
        return f"{format_amount(reading.value, unit)}{_samples(reading, ' from ')}"
    return f"{format_amount(reading.value, unit)}, 95 % interval {_interval(reading)}{_samples(reading, ', ')}"


def _interval(reading: Reading) -> str:
    unit = reading.unit
    if reading.high is None:
        return f"from {format_amount(reading.low, unit)} up" if reading.low is not None else "unbounded"
    if reading.low is None:
        return f"up to {format_amount(reading.high, unit)}"
    return f"{format_amount(reading.low, unit)} to {format_amount(reading.high, unit)}"


def _samples(reading: Reading, before: str) -> str:
    return f"{before}{reading.samples:,} sample{'' if reading.samples == 1 else 's'}" if reading.samples else ""


def _doubt(objective: Objective, reading: Reading) -> str:
    if reading.value is None and reading.low is not None:
        return f"at least {format_amount(reading.low, reading.unit)}; it was not watched for longer than that"
    if reading.value is None:
        return "no data"
    share = golden_signal(objective.signal).share
    if share is not None and reading.samples < samples_needed(share):
        return (
            f"too few samples for {objective.signal}: {reading.samples:,}, and it takes {samples_needed(share):,}; "
            "run longer or with more load"
        )
    value = format_amount(reading.value, reading.unit)
    closeness = f"too close to call{_samples(reading, ' with ')}: {value}, 95 % interval {_interval(reading)}"
    needed = _samples_to_decide(objective, reading)
    return closeness if needed is None else f"{closeness}; needs about {needed:,}"


def _samples_to_decide(objective: Objective, reading: Reading) -> int | None:
    """Return about how many samples would decide if the value stayed as it is; None if no such number makes sense.

    A share is tried out. Any other interval shrinks with the square root of the number of samples.
    """
    value, bound = reading.value, objective.bound
    if value is None or value == bound or not reading.samples:
        return None
    if golden_signal(objective.signal).family == "errors":
        return _share_samples(value, bound, reading.samples)
    edge = reading.high if value < bound else reading.low
    if edge is None:
        return None
    return _rounded(reading.samples * ((edge - value) / (bound - value)) ** 2)


def _share_samples(value: float, bound: float, samples: int) -> int | None:
    needed = float(samples)
    while needed < _TOO_MANY:
        needed *= 1.1
        low, high = clopper_pearson(round(value * needed), round(needed))
        if high <= bound or low >= bound:
            return _rounded(needed)
    return None


def _rounded(samples: float) -> int | None:
    """Round up to two digits: the number is a hint."""
    if samples >= _TOO_MANY:
        return None
    unit = float(f"1e{max(0, math.floor(math.log10(max(samples, 1))) - 1)}")
    return math.ceil(samples / unit) * int(unit)
