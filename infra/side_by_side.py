"""The verdicts of the same scenarios on several backends, side by side: ``python infra/side_by_side.py RUNS``.

Takes the newest run of each scenario on each backend from a folder of runs, of those that are no older than the code.
Exit code 1 unless every scenario ran on all backends (or on that of ``--only BACKEND``) and passed. ``--to-run
BACKEND`` prints the files of the scenarios that have no such run yet, or one that could not be judged.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BACKENDS = ("embedded", "containers")
PROVED = ("pass", "fail")

Record = dict[str, Any]
Runs = dict[str, dict[str, Record]]
"""The record of the newest run, by scenario and backend."""


def changed_at(*paths: Path) -> float:
    """Return when a file of these, or below them, was changed last."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return max(file.stat().st_mtime for file in files if file.is_file() and "__pycache__" not in file.parts)


def newest_runs(folder: Path, scenarios: dict[str, Path]) -> Runs:
    """Return the newest runs of ``scenarios`` (by name) that ran the code as it is now."""
    code = changed_at(ROOT / "cloudcart", ROOT / "loadtests")
    found: Runs = {name: {} for name in scenarios}
    records = [json.loads(path.read_text()) for path in folder.glob("*/run.json")]
    for record in sorted(records, key=lambda record: record["started_at"]):
        name, began = record["name"], datetime.fromisoformat(record["started_at"]).timestamp()
        if name in scenarios and began > max(code, changed_at(scenarios[name])):
            found[name][record["backend"]] = record
    return found


def cell(record: Record | None) -> str:
    """Return verdict and duration."""
    return f"{record['verdict']} in {record['seconds']:.0f} s" if record else "did not run"


def compare(runs: Runs, backends: Sequence[str]) -> bool:
    """Print the table and return whether every scenario passes on each of these backends."""
    print(f"{'scenario':45}" + "".join(f"{backend:25}" for backend in backends))
    for name, by_backend in sorted(runs.items()):
        print(f"{name:45}" + "".join(f"{cell(by_backend.get(backend)):25}" for backend in backends))
    verdicts = {run["verdict"] if run else "none" for by in runs.values() for run in map(by.get, backends)}
    print("the same verdict everywhere: pass" if verdicts == {"pass"} else "not every scenario passes everywhere")
    return verdicts == {"pass"}


def main() -> int:
    """Print the table, or what is to be run."""
    parser = argparse.ArgumentParser(description="the verdicts of the same scenarios on several backends")
    parser.add_argument("runs", type=Path, metavar="RUNS", help="folder of run folders")
    parser.add_argument("--only", choices=BACKENDS, help="look at the verdicts of this backend alone")
    parser.add_argument("--to-run", choices=BACKENDS, help="print the scenarios that this backend has no verdict of")
    arguments = parser.parse_args()
    scenarios = {path.stem.removeprefix("test_"): path for path in sorted(ROOT.glob("scenarios/test_*.py"))}
    runs = newest_runs(arguments.runs, scenarios)
    if arguments.to_run is None:
        return 0 if compare(runs, [arguments.only] if arguments.only else BACKENDS) else 1
    for name, path in scenarios.items():
        if runs[name].get(arguments.to_run, {}).get("verdict") not in PROVED:
            print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
