"""What the installed plugin costs a project that does not use it: the start of pytest with it and without.

    python benchmarks/plugin_start.py [--quick] [--json]

Both sides run one empty test in a folder of their own, turn about, so that whatever else the machine does meets both.
Plugins of others that happen to be installed are left out on both sides. The difference of the medians is the cost, in
time passed and in processor time, which a busy machine changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

SIDES = {"with": ["-p", "cloudcart.pytest_plugin.plugin"], "without": []}
ALONE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
ALONE.pop("PYTHONDONTWRITEBYTECODE", None)  # else plugins are compiled anew at each start


def start(folder: Path, *options: str) -> tuple[float, float]:
    """Run pytest once; return the seconds that passed, and those of the processor."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=ALONE)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, "pytest failed"
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 starts of each side instead of 25")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    options = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        start(folder, *SIDES["with"])  # compiles, fills the file cache
        for _ in range(5 if options.quick else 25):
            for side, given in SIDES.items():
                times[side].append(start(folder, *given))
    figures = {}
    for kind, column in (("passed", 0), ("processor", 1)):
        found = {side: 1000 * median(run[column] for run in runs) for side, runs in times.items()}
        figures |= {f"{side}_{kind}_ms": round(value, 1) for side, value in found.items()}
        figures[f"cost_{kind}_ms"] = round(found["with"] - found["without"], 1)
    if options.json:
        print(json.dumps(figures))
        return
    for kind in ("passed", "processor"):
        without, with_it = (figures[f"{side}_{kind}_ms"] for side in ("without", "with"))
        print(
            f"time {kind}: one empty test {without} ms, with the plugin {with_it} ms: {figures[f'cost_{kind}_ms']} ms"
        )
    print("aim: under 30 ms")


if __name__ == "__main__":
    main()
