"""What a stall looks like to open load, to closed load, and to the service itself.

    python benchmarks/coordinated_omission.py [--quick] [--json]

A service that answers within a millisecond stalls once. Visitors who come at a fixed rate wait, and their times,
counted from when they were due, say so. Users of a closed loop do not come while they wait, so the stall costs them one
slow request each, which a p99 hides: coordinated omission. The service does not see it at all, because it measures from
when it begins to handle a request.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import httpx
from _served import served

from cloudcart.load import LoadProfile, LoadRun, start_load
from cloudcart.signals import RowsSource, Window
from cloudcart.signals.statistics import quantile

HERE = Path(__file__).parent
STALL = 2.0
USERS = 5


def measure(profile: LoadProfile, folder: Path) -> dict[str, Any]:
    """Give load with one stall in the middle; return p50, p99 and maximum in milliseconds, by client and by service."""
    with served("_stalling_service.py") as url, httpx.Client(base_url=url, timeout=STALL + 10) as client:
        with start_load(profile, host=str(client.base_url), folder=folder) as load:
            load.wait(profile.duration / 2)
            client.post("/stall", content=str(STALL))
            load.wait()
        figures = {"requests": len(load.rows()["due"]), **client_figures(load)}
        figures["service_p99_ms"] = milliseconds(quantile(sorted(client.get("/figures").json()), 0.99))
        return figures | {"generator_saturated": load.saturated}


def client_figures(load: LoadRun) -> dict[str, float]:
    window = Window(load.started, load.started + load.profile.duration)
    rows = RowsSource(load.requests)
    latencies = sorted(rows.latencies(window))
    found = {f"p{share * 100:g}_ms": milliseconds(quantile(latencies, share)) for share in (0.5, 0.99)}
    return found | {"max_ms": milliseconds(latencies[-1])}


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 s for each model instead of 20")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    options = parser.parse_args()
    common = {"journey": str(HERE / "_one_request.py"), "duration": "10s" if options.quick else "20s"}
    rate = 100
    open_load = LoadProfile(rate=rate, **common)
    closed_load = LoadProfile(users=USERS, pacing=USERS / rate, **common)
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: measure(load, Path(folder) / name) for name, load in [("open", open_load), ("closed", closed_load)]
        }
    if options.json:
        print(json.dumps({"stall_seconds": STALL, "rate": rate, "seconds": open_load.duration, **found}))
        return
    print(f"one stall of {STALL:g} s in {open_load.duration:g} s at {rate} requests/s")
    for name, figures in found.items():
        print(
            f"  {name:7} client p50 {figures['p50_ms']:8.1f} ms   p99 {figures['p99_ms']:8.1f} ms   "
            f"max {figures['max_ms']:8.1f} ms   service's own p99 {figures['service_p99_ms']:6.2f} ms"
        )


if __name__ == "__main__":
    main()
