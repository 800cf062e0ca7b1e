"""A Prometheus server beside the lab, where a ``prometheus`` binary is on the PATH.

A comfort: never waited for, never fatal. Started by the supervisor once the services are ready.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cloudcart.lab.ports import LOOPBACK, hold
from cloudcart.lab.process import ChildProcess, end, spawn

SCRAPE_INTERVAL: Final = 1.0
"""Seconds between two readings of each service."""


class Prometheus(ChildProcess):
    """One Prometheus server below ``directory`` that reads the services' ``/metrics``; it holds a port until it stops.

    Args:
        directory: where its configuration and data go.
        ports: the port of each process of a service, by its name.
        log: file for its log.
    """

    def __init__(self, directory: Path, ports: Mapping[str, int], *, log: Path) -> None:
        self.directory = directory
        self.log = log
        self._ports = ports
        self._port = hold(for_others=True)
        self._address = f"{LOOPBACK}:{self._port.getsockname()[1]}"
        self.url = f"http://{self._address}"

    def start(self) -> None:
        """Start it and return at once.

        Raises:
            OSError: the program cannot be run.
        """
        self.directory.mkdir(mode=0o700, exist_ok=True)
        configuration = self.directory / "prometheus.yml"
        configuration.write_text(scrape_configuration(self._ports))
        self.process = spawn(
            [
                shutil.which("prometheus") or "prometheus",
                f"--config.file={configuration}",
                f"--storage.tsdb.path={self.directory / 'data'}",
                "--storage.tsdb.retention.time=6h",
                f"--web.listen-address={self._address}",
                "--log.level=warn",
            ],
            log=self.log,
        )

    def stop(self) -> None:
        """End it; its data are lost. Idempotent."""
        if self.process is not None:
            end(self.process, signal.SIGKILL)
        self._port.close()


def is_installed() -> bool:
    """Return whether there is a ``prometheus`` program on the PATH."""
    return shutil.which("prometheus") is not None


def scrape_configuration(ports: Mapping[str, int]) -> str:
    """Return the configuration (YAML) that reads every service once a second; a metric's own ``service`` label wins."""
    jobs = "".join(
        f"  - job_name: {name}\n"
        "    honor_labels: true\n"
        "    static_configs:\n"
        f"      - targets: ['{LOOPBACK}:{port}']\n"
        f"        labels: {{{_labels(name)}}}\n"
        for name, port in ports.items()
    )
    return (
        f"global:\n  scrape_interval: {SCRAPE_INTERVAL:g}s\n  scrape_timeout: {SCRAPE_INTERVAL:g}s\n"
        f"  evaluation_interval: {SCRAPE_INTERVAL:g}s\nscrape_configs:\n{jobs}"
    )


def _labels(name: str) -> str:
    """Return what tells the series of a process: its service, and which replica unless it is the first."""
    service, _, replica = name.partition("/")
    return f"service: {service}" + (f", replica: '{replica}'" if replica else "")
