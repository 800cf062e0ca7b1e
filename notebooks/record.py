"""Records the runs that the notebooks read: ``python notebooks/record.py [NAME ...]``, about four minutes for all.

Not needed to read or execute the notebooks, whose runs are in ``notebooks/runs``. Figures change a little with each
recording, since machines do; what the notebooks conclude from them must not, and they assert it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from cloudcart import Experiment, LoadProfile, Objective, parse_fault, run, start
from cloudcart.experiment import ScheduledFault

RUNS = Path(__file__).parent / "runs"
KEPT = ("run.json", "requests.parquet", "signals.parquet", "events.parquet")


def scheduled(start: str, duration: str, **document: object) -> ScheduledFault:
    return ScheduledFault(fault=parse_fault(document), start=start, duration=duration)


FLAKY_PRODUCTS = (
    scheduled("8s", "14s", kind="error", target="products", status=503, probability=0.05),
    scheduled("8s", "14s", kind="latency", target="products", min="1s", max="3s", probability=0.05),
)
FEW_NOTICE = "Buyers notice fewer than 2 % of errors while 5 % of product calls fail and 5 % take 1 to 3 seconds."
BUYERS = LoadProfile(journey="checkout", rate=15, duration="30s", warmup="3s")
ORDERS_GO_ON = (
    Objective.parse("errors < 2%", phase="fault"),
    Objective.parse("p50 < 500ms", phase="fault"),
    Objective.parse("recovery < 5s"),
)
STALL = (scheduled("6s", "2s", kind="pause", target="gateway"),)

EXPERIMENTS = (
    Experiment(
        name="orders_with_retries",
        claim=FEW_NOTICE,
        load=BUYERS,
        faults=FLAKY_PRODUCTS,
        objectives=ORDERS_GO_ON,
        seed=7,
    ),
    Experiment(
        name="orders_without_retries",
        claim=FEW_NOTICE,
        load=BUYERS,
        faults=FLAKY_PRODUCTS,
        objectives=ORDERS_GO_ON,
        settings={"gateway.retries": "off", "orders.retries": "off"},
        seed=7,
    ),
    Experiment(
        name="stall_under_open_load",
        claim="Browsing stays under a second at p99, although the gateway stands still for two seconds.",
        load=LoadProfile(journey="browse", rate=20, duration="20s", warmup="2s"),
        faults=STALL,
        objectives=(Objective.parse("p99 < 1s"),),
        seed=7,
    ),
    Experiment(
        name="stall_under_closed_load",
        claim="Browsing stays under a second at p99, although the gateway stands still for two seconds.",
        load=LoadProfile(journey="browse", users=4, pacing="0.2s", duration="20s", warmup="2s"),
        faults=STALL,
        objectives=(Objective.parse("p99 < 1s"),),
        seed=7,
    ),
    Experiment(
        name="errors_burn_the_budget",
        claim="99 % of requests are answered without an error.",
        load=LoadProfile(journey="checkout", rate=12, duration="60s", warmup="3s"),
        faults=(scheduled("20s", "15s", kind="error", target="orders", status=503, probability=0.2),),
        objectives=(Objective.parse("errors < 1%"),),
        settings={"gateway.retries": "off", "orders.retries": "off"},
        seed=7,
    ),
    Experiment(
        name="something_is_slow",
        claim="Buyers are served within 100 ms at p95.",
        load=LoadProfile(journey="checkout", rate=10, duration="30s", warmup="3s"),
        faults=(scheduled("10s", "12s", kind="link_latency", target="orders->postgres", latency="15ms", jitter="3ms"),),
        objectives=(Objective.parse("p95 < 100ms"),),
        seed=7,
    ),
)


def record(experiment: Experiment) -> None:
    """Run ``experiment`` on a lab of its own and keep what notebooks read."""
    target = RUNS / experiment.name
    with (
        tempfile.TemporaryDirectory() as folder,
        start(overrides=experiment.lab_settings) as lab,
    ):
        command = f"python notebooks/record.py {experiment.name}"
        found = run(experiment, lab, folder=Path(folder), command=command)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in KEPT:
            shutil.copy(found.directory / name, target / name)
        text = (target / "run.json").read_text()
        (target / "run.json").write_text(text.replace(str(found.directory), f"notebooks/runs/{experiment.name}"))
    print(f"{found.verdict:<12} {target}")


def main(names: list[str]) -> None:
    for experiment in EXPERIMENTS:
        if not names or experiment.name in names:
            record(experiment)


if __name__ == "__main__":
    main(sys.argv[1:])
