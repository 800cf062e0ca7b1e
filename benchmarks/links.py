"""What the fault proxy costs while no fault is active, and how precise its delays are.

    python benchmarks/links.py [--quick] [--json]

Throughput (64 KiB written at once) and round trip (16 bytes) through ``cloudcart proxy``, beside a direct connection,
and beside Toxiproxy where ``toxiproxy-server`` is on the PATH (or named by ``TOXIPROXY``; built by ``go install
github.com/Shopify/toxiproxy/v2/cmd/server@latest``). Each in turn, so that a busy machine slows all of them; ratios are
of rounds that lie side by side, and the median of the rounds is reported. The precision is how much later than 100 ms
an answer comes whose request is delayed by that, beside a sleep of the same length in the client.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

CHUNK = 64 * 1024
DELAY = 0.1
AIMS = {"throughput_to_toxiproxy": "at least 1.3", "added_round_trip_to_toxiproxy": "at most 1.3"}


def serve(port: Any) -> None:
    """Take bytes and count them, or send them back: the first byte of a connection says which."""
    listener = socket.create_server(("127.0.0.1", 0))
    port.send(listener.getsockname()[1])
    while True:
        caller, _ = listener.accept()
        threading.Thread(target=serve_one, args=(caller,), daemon=True).start()


def serve_one(caller: socket.socket) -> None:
    caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray(CHUNK)
    with caller, suppress(OSError):
        if caller.recv(1) == b"T":
            while caller.recv_into(buffer):
                pass
            return
        while count := caller.recv_into(buffer):
            caller.sendall(memoryview(buffer)[:count])


def connect(port: int, mode: bytes) -> socket.socket:
    caller = socket.create_connection(("127.0.0.1", port), timeout=30)
    caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    caller.sendall(mode)
    return caller


def throughput(port: int, mebibytes: int) -> float:
    """Return MiB a second, from the first byte written to the end of the last one read."""
    content = bytes(CHUNK)
    with connect(port, b"T") as caller:
        begun = time.perf_counter()
        for _ in range(mebibytes * 2**20 // CHUNK):
            caller.sendall(content)
        caller.shutdown(socket.SHUT_WR)
        caller.recv(1)
        return mebibytes / (time.perf_counter() - begun)


def round_trip(port: int, count: int) -> float:
    """Return the median of round trips in microseconds."""
    with connect(port, b"E") as caller:
        return statistics.median(one_trip(caller) for _ in range(count)) * 1e6


def one_trip(caller: socket.socket) -> float:
    begun = time.perf_counter()
    caller.sendall(b"0123456789abcdef")
    caller.recv(64)
    return time.perf_counter() - begun


def lateness(ports: dict[str, int], count: int) -> dict[str, dict[str, float]]:
    """Return by how many milliseconds answers come later than the delay, for each proxy, and sleeps of the client end.

    In turns, so that a busy machine makes all of them late.
    """
    late: dict[str, list[float]] = {name: [] for name in (*ports, "sleep")}
    with ExitStack() as stack:
        callers = {name: stack.enter_context(connect(port, b"E")) for name, port in ports.items()}
        for _ in range(count):
            for name, caller in callers.items():
                late[name].append((one_trip(caller) - DELAY) * 1e3)
            begun = time.perf_counter()
            time.sleep(DELAY)
            late["sleep"].append((time.perf_counter() - begun - DELAY) * 1e3)
    return {name: spread(values) for name, values in late.items()}


def spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    p99 = ordered[math.ceil(0.99 * len(ordered)) - 1]
    return {"p50_ms": round(statistics.median(ordered), 3), "p99_ms": round(p99, 3), "max_ms": round(ordered[-1], 3)}


@contextmanager
def upstream() -> Iterator[int]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


@contextmanager
def proxy(command: list[str], control: int, to: int) -> Iterator[int]:
    """Run a proxy that speaks Toxiproxy's API and yield the port at which it leads to ``to``."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            document = {"name": "link", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{to}"}
            yield int(patiently(control, "/proxies", document)["listen"].rpartition(":")[2])
        finally:
            running.kill()


def patiently(control: int, path: str, document: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while True:
        try:
            return post(control, path, document)
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit(f"no proxy answers on port {control} after 20 s") from None
        time.sleep(0.05)


def post(control: int, path: str, document: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{control}{path}", json.dumps(document).encode())
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def measure(*, rounds: int, mebibytes: int, trips: int, delays: int) -> dict[str, Any]:
    """Start everything, measure in turns, and end everything."""
    other = os.environ.get("TOXIPROXY") or shutil.which("toxiproxy-server")
    with ExitStack() as stack:
        to = stack.enter_context(upstream())
        control, theirs = free_port(), free_port()
        command = [str(Path(sys.executable).parent / "cloudcart"), "proxy", "--control", f"127.0.0.1:{control}"]
        ports = {"direct": to, "cloudcart": stack.enter_context(proxy(command, control, to))}
        if other:
            ports["toxiproxy"] = stack.enter_context(proxy([other, "-port", str(theirs)], theirs, to))
        rates: dict[str, list[float]] = {name: [] for name in ports}
        times: dict[str, list[float]] = {name: [] for name in ports}
        for port in ports.values():
            round_trip(port, 200)  # warm
        for _ in range(rounds):
            for name, port in ports.items():
                rates[name].append(throughput(port, mebibytes))
            for name, port in ports.items():
                times[name].append(round_trip(port, trips))
        toxic = {"type": "latency", "stream": "upstream", "attributes": {"latency": round(DELAY * 1e3)}}
        for proxied in (control, theirs) if other else (control,):
            post(proxied, "/proxies/link/toxics", toxic)
        late = lateness({name: port for name, port in ports.items() if name != "direct"}, delays)
    return summary(rates, times, late)


def summary(
    rates: dict[str, list[float]], times: dict[str, list[float]], late: dict[str, dict[str, float]]
) -> dict[str, Any]:
    ratios: dict[str, float] = {"throughput_to_direct": paired(rates["cloudcart"], rates["direct"])}
    if "toxiproxy" in rates:
        added = {
            name: [through - bare for through, bare in zip(times[name], times["direct"], strict=True)]
            for name in ("cloudcart", "toxiproxy")
        }
        ratios["throughput_to_toxiproxy"] = paired(rates["cloudcart"], rates["toxiproxy"])
        ratios["added_round_trip_to_toxiproxy"] = paired(added["cloudcart"], added["toxiproxy"])
    return {
        "throughput_mib_per_s": {name: round(statistics.median(values)) for name, values in rates.items()},
        "round_trip_us": {name: round(statistics.median(values), 1) for name, values in times.items()},
        "ratios": ratios,
        "delay_100_ms_late_by": late,
        "aims": AIMS,
    }


def paired(ours: list[float], theirs: list[float]) -> float:
    return round(statistics.median(one / other for one, other in zip(ours, theirs, strict=True)), 2)


def main() -> int:
    """Run the benchmark. Its figures are for people to judge, on a machine they know."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: under a minute")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object, last")
    options = parser.parse_args()
    if options.quick:
        result = measure(rounds=5, mebibytes=300, trips=1000, delays=100)
    else:
        result = measure(rounds=15, mebibytes=1000, trips=5000, delays=300)
    for name, rate in result["throughput_mib_per_s"].items():
        print(f"{name:10} {rate:6,} MiB/s   round trip {result['round_trip_us'][name]:6.1f} us")
    for name, ratio in result["ratios"].items():
        aim = f"  (aim: {AIMS[name]})" if name in AIMS else ""
        print(f"{name.replace('_', ' ')} {ratio}{aim}")
    for name, late in result["delay_100_ms_late_by"].items():
        print(f"{name:10} a delay of 100 ms is late by {late['p50_ms']} ms at p50, {late['p99_ms']} ms at p99")
    if options.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
