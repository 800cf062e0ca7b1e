"""What a session says at its end: each run, what repeats differ by, the comparison, the coverage, the labs kept.

Imported only when there is something to say. Works on findings (``plugin.FINDINGS``), whichever process made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pytest

from cloudcart.pytest_plugin import baseline
from cloudcart.pytest_plugin.coverage import gather
from cloudcart.pytest_plugin.options import flag, report_dir, setting
from cloudcart.pytest_plugin.timing import time_spent

Findings = Sequence[Mapping[str, Any]]

_MORE: Final = pytest.StashKey[list[str]]()
_REPEATED: Final = ("p50", "p95", "p99", "errors")


def conclude(config: pytest.Config, findings: Findings) -> bool:
    """Save, compare and draw what was asked for; return whether something got worse than it may."""
    said: list[str] = []
    runs = baseline.records(findings)
    folder = report_dir(config)
    failed: list[str] = []
    if name := setting(config, "compare"):
        found = baseline.compare_all(baseline.load(folder, name), runs)
        failed = baseline.worse(found, baseline.thresholds(config))
        said += [*baseline.lines(found, name), *(f"WORSE {sentence}" for sentence in failed)]
    if (name := setting(config, "save")) and runs:
        said.append(f"saved as {name!r}: {baseline.save(runs, folder, name)}")
    if flag(config, "coverage"):
        coverage = gather(findings)
        said += [*coverage.lines(), f"  heat map: {coverage.write(folder)}"]
    config.stash[_MORE] = [*_repeats(runs), *said]
    return bool(failed)


def summary_lines(config: pytest.Config, findings: Findings) -> Iterable[str]:
    """Yield the lines of the summary."""
    for found in findings:
        if "summary" in found:
            yield found["summary"]
    yield from time_spent(findings)
    yield from config.stash.get(_MORE, [])
    for found in findings:
        if "kept" in found:
            yield f"lab kept: {found['kept']} (end it with: cloudcart down --name {found['kept']})"


def _repeats(runs: baseline.Runs) -> Iterable[str]:
    """Yield what repeats of each scenario came to, and by how much two of them differ by themselves."""
    from cloudcart.signals import noise_floor
    from cloudcart.signals.amounts import format_amount

    for name, repeated in runs.items():
        if len(repeated) < 2:
            continue
        passed = sum(run["verdict"] == "pass" for run in repeated)
        yield f"{name}: {passed} of {len(repeated)} runs passed; two runs differ by themselves by up to"
        for signal in _REPEATED:
            values = [it["value"] for run in repeated for it in run["readings"] if _is_the_clients(it, signal)]
            if floor := noise_floor(values):
                unit = "ratio" if signal == "errors" else "s"
                yield f"  {signal:<8} {format_amount(floor.floor, unit)} (mean {format_amount(floor.mean, unit)})"


def _is_the_clients(reading: Mapping[str, Any], signal: str) -> bool:
    return bool(reading["source"] == "client" and reading["window"]["name"] == "whole" and reading["signal"] == signal)
