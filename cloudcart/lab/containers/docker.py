"""The Docker engine: whether there is one that can be used, whether it has the images, what dead labs left in it.

Used by the supervisor of a lab in containers alone. Not here: a container (``lab.containers.container``).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudcart.exceptions import BackendError
from cloudcart.lab.directory import LabDirectory

if TYPE_CHECKING:
    from docker.client import DockerClient
    from docker.models.containers import Container

LAB: Final = "cloudcart.lab"
"""Label of each container: the directory of its lab."""
USER: Final = "cloudcart.user"
"""Label of each container: the user who started the lab."""

# Read by testcontainers when it is imported. On a machine that is a container itself it would dial the default gateway,
# and its own reaper needs an image; here the supervisor removes everything, or the next start does.
_TESTCONTAINERS: Final = {
    "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
    "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
    "TESTCONTAINERS_RYUK_DISABLED": "true",
}
_INSTALL: Final = "install one and start it (Debian: sudo apt-get install docker.io), or name it with DOCKER_HOST"
_BUILD: Final = (
    "build it with infra/images/build.sh of the sources, or name another one with --set containers.{setting}=.."
)


class Docker:
    """The engine that ``DOCKER_HOST`` names, or this machine's.

    Raises:
        BackendError: testcontainers is not installed, or there is no engine that can be used.
    """

    def __init__(self) -> None:
        if find_spec("testcontainers") is None or find_spec("docker") is None:
            raise BackendError("testcontainers is not installed; run: pip install 'cloudcart[containers]'")
        os.environ.update(_TESTCONTAINERS)
        self._client = _connect()

    def require(self, images: Mapping[str, str]) -> None:
        """Make sure that the engine has ``images`` (setting to name); what it lacks is pulled.

        Raises:
            BackendError: one is not there and cannot be had; the message names it.
        """
        for setting, name in images.items():
            self._require(setting, name)

    def lacks(self, images: Mapping[str, str]) -> dict[str, str]:
        """Return those of ``images`` (setting to name) that the engine has not; nothing is pulled."""
        here = {tag for image in self._client.api.images() for tag in image["RepoTags"] or ()}
        return {setting: name for setting, name in images.items() if _with_tag(name) not in here}

    def remove(self, directory: LabDirectory) -> None:
        """Remove every container of a lab, at once."""
        _remove_all(self._containers({LAB: str(directory.path)}))

    def reap(self) -> None:
        """Remove what this user's dead labs left behind: those whose supervisor was killed."""
        mine = self._containers({USER: str(os.geteuid())})
        _remove_all(container for container in mine if not _is_occupied(Path(container.labels[LAB])))

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()

    def _require(self, setting: str, name: str) -> None:
        import docker.errors

        try:
            self._client.images.get(name)
        except docker.errors.ImageNotFound:
            try:
                self._client.images.pull(name)
            except docker.errors.DockerException as error:
                raise BackendError(
                    f"the image {name} is not here and cannot be pulled ({_reason(error)}); "
                    + _BUILD.format(setting=setting)
                ) from None

    def _containers(self, labels: Mapping[str, str]) -> list[Container]:
        wanted = [f"{label}={value}" for label, value in labels.items()]
        found: list[Container] = self._client.containers.list(all=True, ignore_removed=True, filters={"label": wanted})
        return found


def _connect() -> DockerClient:
    import docker
    import docker.errors

    where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not where.startswith("unix://"):
        raise BackendError(f"DOCKER_HOST={where} is no engine on this machine, whose network a lab shares; unset it")
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(where.removeprefix("unix://"))
        client = docker.from_env()
        facts: dict[str, Any] = client.info()
    except PermissionError:
        raise BackendError(f"you may not use the Docker engine at {where}; join its group 'docker'") from None
    except (OSError, docker.errors.DockerException):
        raise BackendError(f"no Docker engine answers at {where}; {_INSTALL}") from None
    if "name=rootless" in facts.get("SecurityOptions", ()) or facts.get("OperatingSystem") == "Docker Desktop":
        raise BackendError(f"the Docker engine at {where} has a network of its own; a lab needs this machine's")
    return client


def _with_tag(name: str) -> str:
    """Return an image's name as the engine lists it."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _remove_all(containers: Iterable[Container]) -> None:
    """Remove containers side by side; each is killed first."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(_remove, containers))


def _remove(container: Container) -> None:
    import docker.errors

    with suppress(docker.errors.APIError):  # it is gone already, or on its way
        container.remove(force=True, v=True)


def _is_occupied(directory: Path) -> bool:
    return LabDirectory.at(directory).occupied


def _reason(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error).strip().rstrip(".")
