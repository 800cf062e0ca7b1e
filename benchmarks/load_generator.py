"""What one generator process can give, rows and all, and what a run costs beyond its duration.

    python benchmarks/load_generator.py [--quick] [--json]

The other side is a server that does next to nothing. The highest rate is that of a closed loop without pauses; how
punctual open load is, is measured at 60 % of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from _served import served

from cloudcart.load import LoadProfile, LoadRun, start_load

HERE = Path(__file__).parent
USERS = 32


def run(host: str, folder: Path, **profile: object) -> tuple[LoadRun, float]:
    """Give load; return the run and the seconds that it took beyond its duration."""
    began = time.monotonic()
    values = LoadProfile(journey=str(HERE / "_one_request.py"), **profile)
    with start_load(values, host=host, folder=folder) as load:
        load.wait()
    return load, time.monotonic() - began - values.duration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 s for each measurement instead of 10")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    options = parser.parse_args()
    seconds = 3 if options.quick else 10
    with served("_fast_server.py") as host, tempfile.TemporaryDirectory() as folder:
        closed, beyond = run(host, Path(folder) / "closed", users=USERS, pacing=0, duration=seconds, warmup=1)
        highest = len(closed.rows()["due"]) / seconds
        opened, beyond_open = run(host, Path(folder) / "open", rate=round(0.6 * highest), duration=seconds, warmup=1)
    figures = {
        "requests_per_second": round(highest),
        "open_rate": opened.profile.rate,
        "open_cpu_share": opened.summary()["cpu_share"],
        "open_lateness_p99_ms": round(1000 * (opened.lateness or 0), 2),
        "seconds_beyond_the_run": round(min(beyond, beyond_open), 2),
    }
    if options.json:
        print(json.dumps(figures))
        return
    print(f"closed loop, {USERS} users without pauses: {figures['requests_per_second']} requests/s")
    print(f"open, {figures['open_rate']:.0f}/s: {figures['open_cpu_share']:.0%} of a core, ", end="")
    print(f"visits begin {figures['open_lateness_p99_ms']} ms late at p99")
    print(f"a run takes {figures['seconds_beyond_the_run']} s longer than its duration")


if __name__ == "__main__":
    main()
