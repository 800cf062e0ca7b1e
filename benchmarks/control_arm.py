"""A small effect, seen two ways: by visits that the fault spares, and by the time before the fault.

    python benchmarks/control_arm.py [--quick] [--json]

100 ms on 5 % of the requests to the product service, in two runs: on a machine left alone, and with a neighbour that
takes processor time while nothing is broken and is gone when the fault begins. The control arm compares visits at the
same time on the same shop. The comparison of before and after, of visits that nothing spares, puts down to the fault
what the neighbour did. Prints both differences of the mean latency with their intervals, and what is true: the delay
that the fault has injected, divided by the requests it could have hit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cloudcart
from cloudcart import Experiment, Lab, LoadProfile, Objective, parse_fault, run
from cloudcart.experiment import Progress, ScheduledFault
from cloudcart.experiment.arms import compare_arms, read_rows, split, visit_means
from cloudcart.experiment.course import Watcher, unwatched
from cloudcart.signals import Difference, Window, difference

CONTROL = 0.3
DELAY = 0.1
PROBABILITY = 0.05


def experiment(seconds: float) -> Experiment:
    """Half of the time nothing is broken, half of it the fault acts."""
    warmup = 2.0
    half = (seconds - warmup) / 2
    fault = parse_fault({"kind": "latency", "target": "products", "fixed": f"{DELAY}s", "probability": PROBABILITY})
    return Experiment(
        name="control_arm",
        load=LoadProfile(journey="browse", rate=30, duration=seconds, warmup=warmup),
        faults=(ScheduledFault(fault=fault, start=warmup + half, duration=half),),
        objectives=(Objective.parse("errors < 50%"),),
        settings={"gateway.cache": "off"},
        control=CONTROL,
    )


class Neighbour:
    """Takes a core while nothing is broken; told of a run's progress as its watcher."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.phase == "steady" and self._process is None:
            self._process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        elif progress.phase not in ("", "steady"):
            self.end()

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def measure(lab: Lab, definition: Experiment, watcher: Watcher) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        finished = run(definition, lab, folder=Path(name), watcher=watcher)
        rows = read_rows(finished.directory / "requests.parquet")
    phases = {phase["name"]: Window(phase["start"], phase["end"], phase["name"]) for phase in finished.record["phases"]}
    arms = compare_arms(rows, phases["fault"], CONTROL)[0]
    _, exposed = split(rows, CONTROL)
    before_after = difference(visit_means(exposed, phases["steady"]), visit_means(exposed, phases["fault"]))
    [fault] = finished.record["faults"]
    requests = sum(due in phases["fault"] for due in exposed["due"])
    return {
        "true_ms": round(1000 * DELAY * fault["injected"] / requests, 3),
        "control_arm": shown(arms),
        "before_after": shown(before_after),
        "notes": finished.record["notes"],
    }


def shown(found: Difference) -> dict[str, Any]:
    milliseconds = [None if value is None else round(1000 * value, 3) for value in (found.value, found.low, found.high)]
    return {
        **dict(zip(("difference_ms", "low_ms", "high_ms"), milliseconds, strict=True)),
        "visits": [found.before.samples, found.after.samples],
        "word": found.word,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a run of 16 s instead of 60")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    options = parser.parse_args()
    definition = experiment(16.0 if options.quick else 60.0)
    neighbour = Neighbour()
    with cloudcart.start(overrides=definition.lab_settings) as lab, ExitStack() as opened:
        opened.callback(neighbour.end)
        found = {"alone": measure(lab, definition, unwatched), "neighbour": measure(lab, definition, neighbour)}
    if options.json:
        print(json.dumps(found))
        return
    for where, figures in found.items():
        print(f"{where}: true {figures['true_ms']} ms on the mean request")
        for name in ("control_arm", "before_after"):
            one = figures[name]
            print(f"  {name:<13} {one['difference_ms']:+.2f} ms ({one['low_ms']} to {one['high_ms']}): {one['word']}")
        for note in figures["notes"]:
            print(f"  note: {note}")


if __name__ == "__main__":
    main()
