"""Readings kept under a name, to compare a later session with: ``--cloudcart-save``, ``-compare``, ``-compare-fail``.

One file per name in ``saved`` below the folder of runs, with the records of every run of each scenario; several runs
of one (``--cloudcart-repeat``) make the comparison know what differs from run to run.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from cloudcart.pytest_plugin.options import entries

if TYPE_CHECKING:
    from cloudcart.report.comparison import Comparison
    from cloudcart.signals import Difference

_LOOKED_AT: Final = ("p50", "p95", "p99", "errors", "traffic")
_PHASES: Final = ("fault", "whole")

Runs = Mapping[str, Sequence[Mapping[str, Any]]]
"""Name of a scenario to the records of its runs."""


class Threshold(NamedTuple):
    """By which share, or for errors by how many of all requests, a signal may get worse."""

    signal: str
    worse_by: float

    def exceeded_by(self, found: Difference) -> bool:
        """Say whether it surely got worse by more than that: the whole interval lies beyond."""
        if not found.worse or found.low is None or found.high is None:
            return False
        least = min(abs(found.low), abs(found.high))
        scale = 1.0 if found.before.unit == "ratio" else abs(found.before.value or 0.0)
        return least > self.worse_by * scale


def thresholds(config: pytest.Config) -> list[Threshold]:
    """Return what ``--cloudcart-compare-fail`` was given: ``SIGNAL:SHARE``, several parted by commas.

    Raises:
        pytest.UsageError: an entry is not of this form.
    """
    from cloudcart.units import parse_share

    found = []
    for entry in (part for text in entries(config, "compare_fail") for part in text.split(",")):
        signal, colon, share = entry.strip().partition(":")
        try:
            if not colon or signal not in _LOOKED_AT:
                raise ValueError(f"a signal is one of {', '.join(_LOOKED_AT)}")
            found.append(Threshold(signal, parse_share(share)))
        except ValueError as error:
            raise pytest.UsageError(f"--cloudcart-compare-fail {entry}: write it like p95:10% ({error})") from None
    return found


def records(findings: Iterable[Mapping[str, Any]]) -> Runs:
    """Return the records of this session's runs, by scenario."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for finding in findings:
        if "run" in finding:
            found[finding["scenario"]].append(json.loads((Path(finding["run"]) / "run.json").read_text()))
    return dict(found)


def save(runs: Runs, folder: Path, name: str) -> Path:
    """Keep runs under a name and return the file."""
    path = _file(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps({"schema_version": 1, "scenarios": runs}))
    return unfinished.replace(path)


def load(folder: Path, name: str) -> Runs:
    """Return what was kept under a name.

    Raises:
        pytest.UsageError: nothing was; the message lists what there is.
    """
    path = _file(folder, name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "nothing yet"
        raise pytest.UsageError(f"--cloudcart-compare {name}: nothing was saved under this name; there is: {known}")
    found: Runs = json.loads(path.read_text())["scenarios"]
    return found


def _file(folder: Path, name: str) -> Path:
    return folder / "saved" / f"{name}.json"


def compare_all(before: Runs, after: Runs) -> dict[str, Comparison]:
    """Return the comparison of each scenario that both sides have."""
    from cloudcart.report.comparison import compare

    return {name: compare(before[name], after[name]) for name in after if before.get(name)}


def worse(found: Mapping[str, Comparison], limits: Sequence[Threshold]) -> list[str]:
    """Return a sentence for each signal that got worse by more than its threshold."""
    from cloudcart.signals.amounts import format_amount

    said = []
    for name, comparison in found.items():
        for limit in limits:
            for phase in _PHASES:
                one = comparison.of(limit.signal, phase)
                if one and limit.exceeded_by(one):
                    amounts = " to ".join(format_amount(it.value, it.unit) for it in (one.before, one.after))
                    said.append(f"{name}: {limit.signal} ({phase}) got worse from {amounts}, limit {limit.worse_by:g}")
    return said


def lines(found: Mapping[str, Comparison], name: str) -> list[str]:
    """Return the comparison in lines: for each scenario, what clients saw before and now."""
    from cloudcart.signals.amounts import format_amount

    said = []
    for scenario, comparison in found.items():
        before, after = comparison.runs
        said.append(f"{scenario} compared with {name!r} ({before} run{'s'[: before != 1]} before, {after} now):")
        for signal in _LOOKED_AT:
            phase = next((phase for phase in _PHASES if comparison.of(signal, phase)), None)
            one = comparison.of(signal, phase) if phase else None
            if one is None:
                continue
            values = " -> ".join(format_amount(it.value, it.unit) for it in (one.before, one.after))
            interval = _interval(one)
            said.append(f"  {signal:<8} {values:<24} {interval:<40} {one.word}")
    return said


def _interval(found: Difference) -> str:
    from cloudcart.signals.amounts import format_amount

    if found.low is None or found.high is None:
        return "difference not bounded"
    return f"difference {format_amount(found.low, found.before.unit)} to {format_amount(found.high, found.before.unit)}"
