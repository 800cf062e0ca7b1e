"""PostgreSQL, Redis and Apache Kafka of one lab, each in a container on a loopback port that the supervisor holds.

Not here: what can be done to them (``lab.stores``), one container (``lab.containers.container``).
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from typing import Final

from cloudcart.lab.containers.container import Image, LabContainer
from cloudcart.lab.directory import LabDirectory
from cloudcart.lab.kafka import CLUSTER, Listeners, answers
from cloudcart.lab.ports import LOOPBACK, hold
from cloudcart.lab.stores import Stores
from cloudcart.settings import WITH_KAFKA, Settings

_ADMIN: Final = "postgres"
_AS_OTHER_USER: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")  # images that begin as root need it
_POSTGRES: Final = {  # a lab's data are worth nothing after it, but must survive a killed process: no fsync is needed
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "120",
    "jit": "off",
    "log_checkpoints": "off",
}


class PostgresContainer(LabContainer):
    """PostgreSQL; its administrator has a password of this lab.

    Args:
        image: the image's name.
        directory: the lab's.
    """

    def __init__(self, image: str, directory: LabDirectory) -> None:
        self.password = secrets.token_urlsafe(16)
        self._port = hold(for_others=True)
        options = _POSTGRES | {"listen_addresses": LOOPBACK, "port": str(_number(self._port))}
        what = Image(
            image,
            command=[part for name, value in options.items() for part in ("-c", f"{name}={value}")],
            environment={"POSTGRES_PASSWORD": self.password, "POSTGRES_INITDB_ARGS": "--no-sync --no-locale -E UTF8"},
            capabilities=_AS_OTHER_USER,
        )
        super().__init__("postgres", what, directory, self._accepts)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{_number(self._port)}"

    def url(self, *, driver: str = "") -> str:
        """Return its URL as the administrator; ``driver="+psycopg"`` makes it one for SQLAlchemy."""
        return f"postgresql{driver}://{_ADMIN}:{self.password}@{self.address}/{_ADMIN}"

    def _accepts(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class RedisContainer(LabContainer):
    """Redis; it keeps nothing on disk.

    Args:
        image: the image's name.
        directory: the lab's.
    """

    def __init__(self, image: str, directory: LabDirectory) -> None:
        self._port = hold(for_others=True)
        command = ["redis-server", "--bind", LOOPBACK, "--port", str(_number(self._port)), "--save", ""]
        what = Image(image, command=command, capabilities=_AS_OTHER_USER)
        super().__init__("valkey", what, directory, self._answers)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{_number(self._port)}"

    @property
    def url(self) -> str:
        """The address, as a Redis client takes it."""
        return f"redis://{self.address}"

    def _answers(self) -> bool:
        try:
            with socket.create_connection(self._port.getsockname(), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class KafkaContainer(LabContainer):
    """Apache Kafka, one node; its messages are on the container's disk, so they survive when it is killed.

    Args:
        image: the image's name.
        directory: the lab's.
    """

    def __init__(self, image: str, directory: LabDirectory) -> None:
        self.listeners = Listeners(WITH_KAFKA)
        variables = {f"KAFKA_{key.upper().replace('.', '_')}": value for key, value in self._properties().items()}
        what = Image(image, environment={"CLUSTER_ID": CLUSTER, **variables})
        super().__init__("broker", what, directory, lambda: answers(self.listeners.port))

    @property
    def address(self) -> str:
        """Its bootstrap address."""
        return self.listeners.address

    def _properties(self) -> dict[str, str]:
        return self.listeners.properties() | {"log.dirs": "/var/lib/kafka/data/lab"}


class ContainerStores(Stores):
    """All stores of one lab.

    Args:
        directory: the lab's.
        settings: the lab's; they name the images.
    """

    def __init__(self, directory: LabDirectory, settings: Settings) -> None:
        images = settings.containers
        self.broker = KafkaContainer(images.kafka, directory)
        self.postgres = PostgresContainer(images.postgres, directory)
        self.valkey = RedisContainer(images.redis, directory)
        self.containers = (self.broker, self.postgres, self.valkey)
        super().__init__({"broker": self.broker, "postgres": self.postgres, "valkey": self.valkey})

    @property
    def addresses(self) -> dict[str, str]:
        """Host and port of the stores that are routed, by the name that targets of faults use."""
        return {"postgres": self.postgres.address, "redis": self.valkey.address}

    @property
    def listeners(self) -> Listeners:
        """The broker's, which can tell a proxy's port to its clients."""
        return self.broker.listeners

    @property
    def password(self) -> str | None:
        """What services log in to PostgreSQL with."""
        return self.postgres.password

    def milestones(self) -> Iterator[tuple[str, float, float]]:
        """Yield nothing: containers have no files that tell."""
        yield from ()


def _number(held: socket.socket) -> int:
    return int(held.getsockname()[1])
