"""What the installed plugin costs a project that does not use it: the start of pytest with it and without.

    python benchmarks/plugin_start.py [--quick] [--json]

Both sides run one empty test in a folder of their own, turn about, so that whatever else the machine does meets both;
all other plugins that happen to be installed are loaded on both sides. The difference of the medians is the cost.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

SIDES = {"with": [], "without": ["-p", "no:cloudcart"]}


def start(folder: Path, *options: str) -> float:
    """Run pytest once; return its CPU and waiting time together, in seconds."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 starts of each side instead of 25")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    options = parser.parse_args()
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        start(folder)  # compiles, fills the file cache
        for _ in range(5 if options.quick else 25):
            for side, given in SIDES.items():
                times[side].append(start(folder, *given))
    figures = {f"{side}_ms": round(1000 * median(seconds), 1) for side, seconds in times.items()}
    figures["cost_ms"] = round(figures["with_ms"] - figures["without_ms"], 1)
    if options.json:
        print(json.dumps(figures))
        return
    print(f"pytest with one empty test: {figures['without_ms']} ms, with the plugin installed {figures['with_ms']} ms")
    print(f"the plugin costs {figures['cost_ms']} ms (aim: under 30 ms)")


if __name__ == "__main__":
    main()
