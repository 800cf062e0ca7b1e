"""Real Apache Kafka as a child process on a loopback port, in place of the mock broker; it keeps its messages on disk.

Needs a Java runtime and Kafka's jars, which ``CLOUDCART_KAFKA_HOME`` names (``infra/kafka/fetch.sh`` gets them). One
node that is broker and controller (KRaft). Used by the embedded stores; ``lab.containers`` has the same in a container.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from cloudcart.exceptions import BackendError
from cloudcart.lab.ports import LOOPBACK, hold, listen
from cloudcart.lab.process import StoreProcess, end, spawn, wait_until

KAFKA_HOME: Final = "CLOUDCART_KAFKA_HOME"
CLUSTER: Final = "Y2xvdWRjYXJ0LWxhYi0wMQ"  # 16 bytes, as Kafka writes a UUID
_JAVA: Final = ("-Xmx192m", "-Xms32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss256k")
_LOGGING: Final = """\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
"""
_SMALL: Final = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": "4",
    "auto.create.topics.enable": "true",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "2000",  # a killed broker is not let in again before this has passed
    "broker.heartbeat.interval.ms": "200",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "num.network.threads": "1",
    "num.io.threads": "2",
    "background.threads": "1",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.dedupe.buffer.size": "2000000",
}
_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""Kafka's request ApiVersions, version 0, from a client without a name: what every client asks first."""


def kafka_home() -> Path | None:
    """Return the folder whose ``libs`` has Kafka's jars, if the environment names one.

    Raises:
        BackendError: there are none, or there is no Java.
    """
    given = os.environ.get(KAFKA_HOME)
    if not given:
        return None
    home = Path(given).absolute()
    if not any(home.glob("libs/kafka_*.jar")):
        raise BackendError(f"{KAFKA_HOME}={given} has no libs/kafka_*.jar; 'infra/kafka/fetch.sh {given}' gets them")
    if shutil.which("java") is None:
        raise BackendError(f"{KAFKA_HOME} is set, but there is no 'java' on the PATH; install Java 17, or unset it")
    return home


def answers(port: int) -> bool:
    """Return whether a broker on this machine answers a client."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0) as connection:
            connection.sendall(_API_VERSIONS)
            return len(connection.recv(4)) == 4
    except OSError:
        return False


class Listeners:
    """The ports of one broker that is its own controller, held for as long as the lab lives.

    A broker tells its clients where to go on, so a proxy in front of it is bypassed unless it tells the proxy's port:
    each of ``routed`` gets a listener of its own, which says so.

    Args:
        routed: the services whose links to the broker may go through the fault proxy.
    """

    def __init__(self, routed: Iterable[str] = ()) -> None:
        self._broker, self._controller = hold(for_others=True), hold(for_others=True)
        self._behind = {service: hold(for_others=True) for service in routed}
        self.proxies = {service: listen(0) for service in routed}

    @property
    def port(self) -> int:
        """The port for everybody."""
        return _port(self._broker)

    @property
    def address(self) -> str:
        """The bootstrap address for everybody, ``host:port``."""
        return f"{LOOPBACK}:{self.port}"

    def upstream(self, service: str) -> str:
        """Return where the proxy of a service's link connects to."""
        return f"{LOOPBACK}:{_port(self._behind[service])}"

    def close(self) -> None:
        """Let the ports go."""
        for held in (self._broker, self._controller, *self._behind.values(), *self.proxies.values()):
            held.close()

    def properties(self) -> dict[str, str]:
        """Return the properties of a small broker on these ports."""
        own = {service.upper(): _port(holder) for service, holder in self._behind.items()}
        told = {service.upper(): _port(proxy) for service, proxy in self.proxies.items()}
        ports, controller = {"PLAINTEXT": self.port, **own}, f"{LOOPBACK}:{_port(self._controller)}"
        return _SMALL | {
            "controller.quorum.voters": f"1@{controller}",
            "listeners": ",".join([*_listeners(ports), f"CONTROLLER://{controller}"]),
            "advertised.listeners": ",".join(_listeners(ports | told)),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in ("CONTROLLER", *ports)),
        }


def _port(held: socket.socket) -> int:
    return int(held.getsockname()[1])


def _listeners(ports: Mapping[str, int]) -> list[str]:
    return [f"{name}://{LOOPBACK}:{port}" for name, port in ports.items()]


class Kafka(StoreProcess):
    """One broker below ``directory``.

    Args:
        directory: where its configuration and messages go.
        home: the folder whose ``libs`` has the jars.
        log: file for its log.
        routed: the services whose links to it may go through the fault proxy.
    """

    def __init__(self, directory: Path, home: Path, *, log: Path, routed: Iterable[str] = ()) -> None:
        self.directory = directory
        self.log = log
        self._home = home
        self.listeners = Listeners(routed)
        self._configuration = directory / "server.properties"

    @property
    def address(self) -> str:
        """Its bootstrap address, ``host:port``."""
        return self.listeners.address

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, formatting its disk if that is new, and return at once."""
        self._configure()
        format_, serve = (" ".join(self._java(program)) for program in ("kafka.tools.StorageTool", "kafka.Kafka"))
        formatted = f"[ -e '{self.directory}/data/meta.properties' ]"
        script = f'{formatted} || {format_} format -t {CLUSTER} -c "$0" >/dev/null && exec {serve} "$0"'
        self.process = spawn(["/bin/sh", "-c", script, self._configuration], log=self.log)
        return self.process

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until it answers clients.

        Raises:
            LabError: it ended, or did not answer in time; the message has the end of its log.
        """
        assert self.process is not None, "start() comes first"
        ready = partial(answers, self.listeners.port)
        wait_until(ready, what="Apache Kafka", process=self.process, log=self.log, timeout=timeout)

    def stop(self) -> None:
        """End it at once. Idempotent."""
        if self.process is not None:
            end(self.process, signal.SIGKILL)

    def _configure(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        values = self.listeners.properties() | {"log.dirs": str(self.directory / "data")}
        self._configuration.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        (self.directory / "log4j2.properties").write_text(_LOGGING)

    def _java(self, program: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile=file:{self.directory}/log4j2.properties"
        return ["java", *_JAVA, logging, "-cp", f"'{self._home}/libs/*'", program]
