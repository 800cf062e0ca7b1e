"""A Kafka-protocol broker, librdkafka's mock cluster, in a process of its own with a loopback port of its own.

It creates topics by itself (4 partitions each) and keeps its messages in memory: a killed broker has lost them. Used
by the supervisor, and by tests of the worker as a context manager; the process itself is this module run with ``-m``.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from cloudcart.exceptions import BackendError, LabError
from cloudcart.lab.process import StoreProcess, end, log_tail, spawn


class Broker(StoreProcess):
    """One mock broker; a context manager that starts it, waits for its address, and ends it.

    Args:
        directory: where its log goes.
        log: file for its log; ``directory/broker.log`` if not given.
    """

    durable = False

    def __init__(self, directory: Path, *, log: Path | None = None) -> None:
        self.directory = directory
        self.log = log or directory / "broker.log"
        self._address = ""

    def start(self) -> subprocess.Popen[bytes]:
        """Start it and return at once.

        Raises:
            BackendError: confluent-kafka is missing.
        """
        if find_spec("confluent_kafka") is None:
            raise BackendError("confluent-kafka is not installed; run: pip install 'cloudcart[lab]'")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [sys.executable, "-m", __name__ if __name__ != "__main__" else "cloudcart.lab.broker"]
        self.process = spawn(command, log=self.log, stdout=subprocess.PIPE)
        return self.process

    def wait_ready(self, timeout: float = 15.0) -> None:
        """Wait until it has told its address.

        Raises:
            LabError: it ended, or said nothing in time; the message has the end of its log.
        """
        assert self.process is not None, "start() comes first"
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout
        while not self._address.endswith("\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 256) if readable else b""
            if not chunk:
                raise LabError(f"the broker did not start within {timeout:g} s{log_tail(self.log)}")
            self._address += chunk.decode()

    @property
    def address(self) -> str:
        """Its bootstrap address, ``host:port``; known once it is ready."""
        assert self._address, "wait_ready() comes first"
        return self._address.strip()

    def stop(self) -> None:
        """End it. Idempotent."""
        if self.process is not None:
            end(self.process, signal.SIGKILL)
            if self.process.stdout is not None:
                self.process.stdout.close()


def main() -> None:
    """Be the broker: print the address on standard output, then serve until killed."""
    from confluent_kafka import Producer

    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 3})
    brokers = cluster.list_topics(timeout=10).brokers.values()
    sys.stdout.write(",".join(f"{broker.host}:{broker.port}" for broker in brokers) + "\n")
    sys.stdout.flush()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
