"""The load generator ``wrk``, for benchmarks of what answers faster than a client in Python can ask."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from cloudcart.units import parse_duration


@dataclass(frozen=True)
class Load:
    """What one run measured; latencies in milliseconds."""

    requests_per_second: float
    p50: float
    p99: float
    errors: int


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def wrk(url: str, *, connections: int, seconds: int, headers: Mapping[str, str] | None = None) -> Load:
    """Ask for ``url`` over so many connections, each as fast as it gets answers, and return what wrk saw."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    text = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    failed = re.findall(r"Non-2xx or 3xx responses: (\d+)|(?:connect|read|write|timeout) (\d+)", text)
    return Load(
        float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        _milliseconds(re.search(r"^\s+50%\s+(\S+)", text, re.MULTILINE)[1]),
        _milliseconds(re.search(r"^\s+99%\s+(\S+)", text, re.MULTILINE)[1]),
        sum(int(number) for groups in failed for number in groups if number),
    )


def _milliseconds(text: str) -> float:
    """Return what wrk means by ``3.21ms``, ``870.00us`` or ``1.02s``."""
    return round(parse_duration(text) * 1e3, 3)
