"""How often is a verdict wrong? Control runs that must raise no alarm, and runs with a known fault that must be found.

    python benchmarks/false_alarms.py [--quick] [--json]

A/A: 20 runs without a fault must pass an objective. A/B: 20 runs with 100 ms more on a fifth of the requests to the
product service must each fail it. The objective is the 90th percentile of what the product service's clients wait, so a
fifth of slow requests shows and chance does not. Each run has a seed of its own; all run on one shop, reset in between.
A run without a verdict has not done what it should either: it is counted beside the wrong ones. Exits with 1 when a
single run of either kind came to another verdict than it should.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cloudcart
from cloudcart import Experiment, Lab, LoadProfile, Objective, parse_fault, run
from cloudcart.experiment import ScheduledFault
from cloudcart.signals import clopper_pearson

OBJECTIVE = Objective.parse("p90 < 80ms", route="/api/products", phase="steady")
BROKEN = Objective.parse("p90 < 80ms", route="/api/products", phase="fault")
SETTINGS = {"gateway.cache": "off"}  # every request for the list reaches the product service
WARMUP, MEASURED = 2.0, 8.0


def experiment(seed: int, *, fault: bool) -> Experiment:
    """Return one of the two: the same load, shop and objective, and a fault in one of them."""
    seconds = WARMUP + (2 * MEASURED if fault else MEASURED)
    return Experiment(
        name="a_b" if fault else "a_a",
        load=LoadProfile(journey="browse", rate=25, duration=seconds, warmup=WARMUP, seed=seed),
        faults=(ScheduledFault(fault=latency(), start=WARMUP + MEASURED, duration=MEASURED),) if fault else (),
        objectives=(BROKEN if fault else OBJECTIVE,),
        settings=SETTINGS,
        seed=seed,
    )


def latency() -> cloudcart.Fault:
    return parse_fault({"kind": "latency", "target": "products", "fixed": "100ms", "probability": 0.2})


def verdicts(lab: Lab, runs: int, folder: Path, *, fault: bool) -> Iterator[tuple[str, float, list[str]]]:
    """Yield verdict, reading and doubts of each run; invariants of the data are not what is asked for here."""
    for seed in range(runs):
        record = run(experiment(seed, fault=fault), lab, folder=folder).record
        [judged] = record["objectives"]
        verdict = "inconclusive" if record["verdict"] == "inconclusive" else judged["verdict"]
        yield verdict, judged["reading"], record["notes"]


def measure(runs: int) -> dict[str, dict[str, object]]:
    figures: dict[str, dict[str, object]] = {}
    with (
        tempfile.TemporaryDirectory() as name,
        cloudcart.start(overrides=experiment(0, fault=True).lab_settings) as lab,
    ):
        for side, fault, right, wrong in (("a_a", False, "pass", "fail"), ("a_b", True, "fail", "pass")):
            found = list(verdicts(lab, runs, Path(name), fault=fault))
            counts = Counter(verdict for verdict, _, _ in found)
            low, high = clopper_pearson(counts[wrong], runs)
            least, most = clopper_pearson(runs - counts[right], runs)
            figures[side] = {
                "runs": runs,
                **{verdict: counts[verdict] for verdict in ("pass", "fail", "inconclusive")},
                "wrong": counts[wrong],
                "wrong_interval": [round(low, 4), round(high, 4)],
                "not_right": runs - counts[right],
                "not_right_interval": [round(least, 4), round(most, 4)],
                "readings_ms": [round(1000 * reading, 1) for _, reading, _ in found if reading is not None],
                "doubts": sorted({doubt for _, _, doubts in found for doubt in doubts}),
            }
    return figures


def main() -> int:
    """Measure; exit with 1 when a run came to another verdict than it should."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1 run of each kind instead of 20")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    options = parser.parse_args()
    figures = measure(1 if options.quick else 20)
    missed = any(found["not_right"] for found in figures.values())
    if options.json:
        print(json.dumps(figures))
        return 1 if missed else 0
    for side, name, good, wrong in (
        ("a_a", "no fault", "pass", "false alarms"),
        ("a_b", "+100 ms on 20 % of requests to products", "fail", "missed"),
    ):
        found = figures[side]
        print(f"{name}: {found[good]} of {found['runs']} {good}, {found['inconclusive']} inconclusive")
        for what, count in ((wrong, "wrong"), (f"{wrong} and inconclusive", "not_right")):
            low, high = found[f"{count}_interval"]
            print(f"  {what}: {found[count]} (95 % interval of the rate {low:.1%} to {high:.1%})")
        print(f"  readings: {found['readings_ms']} ms")
        for doubt in found["doubts"]:
            print(f"  noted: {doubt}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
