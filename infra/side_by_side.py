"""The verdicts of the same scenarios on several backends, side by side: ``python infra/side_by_side.py RUNS``.

Takes the newest run of each scenario on each backend from a folder of runs. Exit code 1 when verdicts differ, or when a
scenario ran on one backend alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

BACKENDS = ("embedded", "containers")


def newest_runs(folder: Path) -> dict[str, dict[str, dict]]:
    """Return the record of the newest run by scenario and backend."""
    records = [json.loads(path.read_text()) for path in folder.glob("*/run.json")]
    found: dict[str, dict[str, dict]] = {}
    for record in sorted(records, key=lambda record: record["started_at"]):
        found.setdefault(record["name"], {})[record["backend"]] = record
    return found


def cell(record: dict | None) -> str:
    """Return verdict and duration."""
    return f"{record['verdict']} in {record['seconds']:.0f} s" if record else "did not run"


def main() -> int:
    """Print the table."""
    runs = {name: by for name, by in newest_runs(Path(sys.argv[1])).items() if "containers" in by}
    print(f"{'scenario':45}" + "".join(f"{backend:25}" for backend in BACKENDS))
    for name, by_backend in sorted(runs.items()):
        print(f"{name:45}" + "".join(f"{cell(by_backend.get(backend)):25}" for backend in BACKENDS))
    verdicts = [{record["verdict"] for record in by.values()} for by in runs.values()]
    same = bool(runs) and all(len(by) == len(BACKENDS) for by in runs.values()) and all(len(v) == 1 for v in verdicts)
    print("the verdicts are the same" if same else "the verdicts differ")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
