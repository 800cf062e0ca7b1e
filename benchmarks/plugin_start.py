"""What the installed plugin costs a project that does not use it: the start of pytest with it and without.

    python benchmarks/plugin_start.py [--quick] [--json]

Both sides run one empty test in a folder of their own, turn about, so that whatever else the machine does meets both.
On both, pytest discovers plugins by their entry points as it does for everybody, and loads ours by its own on one side
only; those of others that happen to be installed are refused on both. The difference of the medians is the cost, in
time passed and in processor time, which a busy machine changes less. Exits with 1 when the processor's exceeds 30 ms.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path
from statistics import median

OURS = "cloudcart"
"""The name of our entry point."""
PROMISED = 30.0
"""Milliseconds of the processor that the plugin may cost."""
OTHERS = sorted({entry.name for entry in entry_points(group="pytest11")} - {OURS})
REFUSED = [option for name in OTHERS for option in ("-p", f"no:{name}")]
SIDES = {"with": REFUSED, "without": [*REFUSED, "-p", f"no:{OURS}"]}
SURROUNDINGS = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
SURROUNDINGS.pop("PYTHONDONTWRITEBYTECODE", None)  # else plugins are compiled anew at each start


def start(folder: Path, *options: str) -> tuple[float, float]:
    """Run pytest once; return the seconds that passed, and those of the processor."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=SURROUNDINGS)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, "pytest failed"
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def require_discovery(folder: Path) -> None:
    """Fail unless our plugin is found by its entry point on the one side, and nobody's on the other."""
    for side, options in SIDES.items():
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "--trace-config", str(folder)]
        told = subprocess.run(command, cwd=folder, env=SURROUNDINGS, capture_output=True, text=True, check=True).stdout
        listed = told.partition("registered third-party plugins:\n")[2].splitlines()
        found = [line.split()[0] for line in itertools.takewhile(lambda line: " at " in line, listed)]
        ours = [name for name in found if name.startswith(f"{OURS}-")]
        assert (found, len(ours)) == (ours, side == "with"), f"{side} the plugin, pytest found {found}"


def main() -> int:
    """Measure; exit with 1 when the plugin costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 starts of each side instead of 25")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    options = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        require_discovery(folder)
        start(folder, *SIDES["with"])  # compiles, fills the file cache
        for _ in range(5 if options.quick else 25):
            for side, given in SIDES.items():
                times[side].append(start(folder, *given))
    figures = {}
    for kind, column in (("passed", 0), ("processor", 1)):
        found = {side: 1000 * median(run[column] for run in runs) for side, runs in times.items()}
        figures |= {f"{side}_{kind}_ms": round(value, 1) for side, value in found.items()}
        figures[f"cost_{kind}_ms"] = round(found["with"] - found["without"], 1)
    missed = figures["cost_processor_ms"] > PROMISED
    if options.json:
        print(json.dumps({**figures, "promised_ms": PROMISED}))
        return 1 if missed else 0
    for kind in ("passed", "processor"):
        without, with_it = (figures[f"{side}_{kind}_ms"] for side in ("without", "with"))
        print(
            f"time {kind}: one empty test {without} ms, with the plugin {with_it} ms: {figures[f'cost_{kind}_ms']} ms"
        )
    print(f"promised: at most {PROMISED:g} ms of the processor{', which it MISSES' if missed else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
