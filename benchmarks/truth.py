"""Are the figures true? A service with a known distribution of latency, read from rows, from buckets, from Prometheus.

    python benchmarks/truth.py [--quick] [--json]

Prints p50, p95 and p99 as each source reads them, how far that is from the truth, and whether the truth lies in the
interval that the reading states. Without a ``prometheus`` program that source is left out. Exits with 1 when a figure
of the rows is more than 2 % from the truth, or when the generator was the bottleneck, so that nothing was shown. A
percentile is judged where 30 requests lie beyond it: in the quick form p99 is only told.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from _known_service import MEDIAN, P99, truth
from _served import served

from cloudcart.lab.prometheus import SCRAPE_INTERVAL, Prometheus, is_installed
from cloudcart.load import LoadProfile, start_load
from cloudcart.signals import PrometheusSource, RowsSource, Scraper, ScrapeSource, Source, Window

HERE = Path(__file__).parent
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
RATE = 100.0
PROMISED = 0.02  # how far rows may be from the truth
BEYOND = 30  # requests beyond a percentile without which the sequence of latencies does not have it yet


@contextmanager
def prometheus(url: str, folder: Path) -> Iterator[PrometheusSource | None]:
    """Run a Prometheus server that watches the service, if there is one; yield when it has scraped once."""
    if not is_installed():
        yield None
        return
    server = Prometheus(folder / "prometheus", {"gateway": urlsplit(url).port or 0}, log=folder / "log")
    server.start()
    try:
        wait_until(lambda: has_scraped(server.url))
        with closing(PrometheusSource(server.url)) as source:
            yield source
    finally:
        server.stop()


def has_scraped(url: str) -> bool:
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": 'up{service="gateway"}'}, timeout=2).json()
    except (httpx.HTTPError, ValueError):
        return False
    return bool(answer.get("data", {}).get("result"))


def wait_until(holds: Any, deadline: float = 30.0) -> None:
    end = time.monotonic() + deadline
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def measure(seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give load; return each source's readings, and the generator's account."""
    profile = LoadProfile(journey=str(HERE / "_one_request.py"), rate=RATE, duration=seconds)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        url = opened.enter_context(served("_known_service.py"))
        server = opened.enter_context(prometheus(url, folder))
        scraper = opened.enter_context(Scraper({"gateway": url}))
        start, before = time.time(), scraper.take()
        with start_load(profile, host=url, folder=folder) as load:
            load.wait()
        if server is not None:
            time.sleep(2 * SCRAPE_INTERVAL)  # until it has surely seen the last request
        after, window = scraper.take(), Window(start, time.time())
        sources: dict[str, Source | None] = {
            "rows": RowsSource(load.requests),
            "buckets": ScrapeSource([before, after]),
            "prometheus": server,
        }
        found = {name: figures(source, window) for name, source in sources.items() if source is not None}
        return found, load.summary()


def figures(source: Source, window: Window) -> dict[str, Any]:
    """Return what a source reads, how far that is from the truth, and whether its interval holds the truth."""
    found = {}
    for name, share in SHARES.items():
        reading, true = source.read(name, window), truth(share)
        assert reading.value is not None, reading.note
        low, high = reading.low or 0.0, reading.high or float("inf")
        found[name] = {
            "reading_ms": round(1000 * reading.value, 2),
            "truth_ms": round(1000 * true, 2),
            "error": round(reading.value / true - 1, 5),
            "interval_ms": [round(1000 * low, 1), None if reading.high is None else round(1000 * high, 1)],
            "truth_within": low <= true <= high,
            "samples": reading.samples,
        }
    return found


def misses(found: dict[str, Any], generator: dict[str, Any]) -> list[str]:
    """Return a sentence for each figure that is not as promised."""
    said = [f"the generator was the bottleneck: {generator['saturated']}"] if generator["saturated"] else []
    for name, one in found["rows"].items():
        judged = one["samples"] * (1 - SHARES[name]) >= BEYOND
        if judged and abs(one["error"]) > PROMISED:
            said.append(f"rows read {name} {one['error']:+.2%} from the truth, not within {PROMISED:.0%}")
    return said


def main() -> int:
    """Measure; exit with 1 when rows break the promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 s of load instead of 60")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    options = parser.parse_args()
    found, generator = measure(10.0 if options.quick else 60.0)
    missed = misses(found, generator)
    if options.json:
        print(json.dumps({"sources": found, "generator": generator, "missed": missed}))
        return 1 if missed else 0
    print(f"lognormal, median {1000 * MEDIAN:g} ms, p99 {1000 * P99:g} ms, {generator['requests']} requests")
    for name, percentiles in found.items():
        for share, one in percentiles.items():
            interval = f"{one['interval_ms'][0]} to {one['interval_ms'][1] or 'unbounded'} ms"
            held = "holds the truth" if one["truth_within"] else "MISSES the truth"
            print(f"  {name:<11} {share} {one['reading_ms']:8.2f} ms, truth {one['truth_ms']:8.2f}, ", end="")
            print(f"error {one['error']:+7.2%}; {interval} {held}")
    print("\n".join(missed) or f"rows are within {PROMISED:.0%} of the truth")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
