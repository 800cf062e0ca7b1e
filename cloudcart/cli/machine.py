"""What this machine can do, as a list of findings: packages, stores that start, ports, cores, memory, space.

Each check is a function that yields findings and leaves nothing behind. Not here: how they are shown (``doctor``); what
a start finds out by itself (``cloudcart.lab``).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from importlib import metadata
from pathlib import Path
from typing import Final, Literal, NamedTuple

from cloudcart.exceptions import CloudCartError, LabError

State = Literal["ok", "warning", "missing", "absent"]
"""``missing`` keeps the embedded backend from running; ``absent`` is only something that could be there."""

MEMORY_NEEDED: Final = 400 * 2**20
"""Bytes that the shop may use in all; the lab's promise."""

SPACE_NEEDED: Final = 200 * 2**20
"""Bytes in the temporary folder: a fresh PostgreSQL cluster with its write-ahead log is about 60 MiB, then logs."""

_ROOM_FOR_NAMES: Final = 8
"""Bytes by which the name of another lab may be longer than 'default' before a start refuses it."""


class Finding(NamedTuple):
    """One thing that was looked at. ``fix`` says what to do, with a command if there is one."""

    group: str
    name: str
    state: State
    detail: str
    fix: str = ""


def examine() -> list[Finding]:
    """Return every finding, in the order in which they are shown. The checks run side by side; one to two seconds."""
    with ThreadPoolExecutor(len(_CHECKS)) as threads:
        return [finding for found in threads.map(lambda check: list(check()), _CHECKS) for finding in found]


def embedded_can_run(findings: list[Finding]) -> bool:
    """Return whether nothing that the embedded backend needs is missing."""
    return all(finding.state != "missing" for finding in findings)


def look_at_python() -> Iterator[Finding]:
    """Look at the interpreter and the platform: services are forked."""
    yield Finding("machine", "python", "ok", f"{platform.python_version()} at {sys.executable}")
    name = f"{platform.system()} {platform.machine()}"
    if hasattr(os, "fork"):
        yield Finding("machine", "platform", "ok", name)
    else:
        yield Finding("machine", "platform", "missing", f"{name} cannot fork", "use Linux, macOS or WSL")


def look_at_cores() -> Iterator[Finding]:
    """Count the processor cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores >= 2:
        yield Finding("machine", "cores", "ok", str(cores))
    else:
        yield Finding("machine", "cores", "warning", "1: the shop and its load share it", "give the machine 2 cores")


def look_at_memory() -> Iterator[Finding]:
    """Compare the memory that is available with what the shop may use."""
    import psutil

    memory = psutil.virtual_memory()
    detail = f"{_size(memory.available)} available of {_size(memory.total)}; the shop needs {_size(MEMORY_NEEDED)}"
    enough = memory.available >= MEMORY_NEEDED
    fix = "" if enough else "close other programs, or stop other labs: cloudcart down --all"
    yield Finding("machine", "memory", "ok" if enough else "missing", detail, fix)


def look_at_temporary_space(
    free_space: Callable[[str], int] = lambda path: shutil.disk_usage(path).free,
) -> Iterator[Finding]:
    """Look at the space where labs keep their data."""
    folder = tempfile.gettempdir()
    free = free_space(folder)
    detail = f"{_size(free)} free in {folder}; the shop needs {_size(SPACE_NEEDED)}"
    enough = free >= SPACE_NEEDED
    fix = "" if enough else "make room, or point TMPDIR at a folder with more"
    yield Finding("machine", "temporary space", "ok" if enough else "missing", detail, fix)


def look_at_state_directory() -> Iterator[Finding]:
    """Look at where labs live: PostgreSQL's Unix socket is below it, and a socket's path is short."""
    from cloudcart.lab.directory import STATE_DIR, LabDirectory, state_directory

    try:
        state = state_directory()
    except LabError as error:
        said, _, fix = str(error).partition("; ")
        yield Finding("machine", "state directory", "missing", said, fix)
        return
    room = LabDirectory("default", state).room
    if room >= _ROOM_FOR_NAMES:
        yield Finding("machine", "state directory", "ok", f"{state}, short enough for Unix sockets")
        return
    detail = f"{state} is {_ROOM_FOR_NAMES - room} bytes too long for the Unix sockets below it"
    fix = f"set {STATE_DIR} to a shorter path"
    yield Finding("machine", "state directory", "missing" if room < 0 else "warning", detail, fix)


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def look_at_postgres() -> Iterator[Finding]:
    """Start PostgreSQL."""
    from cloudcart.lab.postgres import Postgres

    yield _starts("PostgreSQL", Postgres)


def look_at_valkey() -> Iterator[Finding]:
    """Start Valkey."""
    from cloudcart.lab.valkey import Valkey

    yield _starts("Valkey (Redis protocol)", Valkey)


def look_at_broker() -> Iterator[Finding]:
    """Start the mock broker."""
    from cloudcart.lab.broker import Broker

    yield _starts("Kafka-protocol broker", Broker)


def _starts(name: str, store: Callable[[Path], AbstractContextManager[object]]) -> Finding:
    """Start the store in a folder of its own and end it again: the one test that no permission or library can fool."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cloudcart-doctor-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL, which refuses to be root, is started as 'nobody' by root
        try:
            with store(Path(folder) / "store"):
                return Finding("stores", name, "ok", f"starts in {time.monotonic() - began:.1f} s")
        except CloudCartError as error:
            said, _, fix = str(error).partition("; run: ")
            return Finding("stores", name, "missing", said, fix)


_EXTRA_USE: Final = {
    "lab": "the shop",
    "shop": "the shop",
    "containers": "the shop in containers",
    "load": "load and experiments",
    "report": "reports",
    "analysis": "data frames and plots",
}


def look_at_extras(packages_by_extra: Mapping[str, Sequence[str]] | None = None) -> Iterator[Finding]:
    """Look for the packages of each extra; those that this distribution's metadata tell if none are given."""
    for extra, packages in (packages_by_extra or _packages_by_extra()).items():
        found = {package: _version(package) for package in packages}
        lacking = [package for package, version in found.items() if not version]
        if lacking:
            state: State = "missing" if extra in ("lab", "shop") else "absent"
            use = _EXTRA_USE.get(extra, extra)
            fix = f"pip install 'cloudcart[{extra}]'"
            yield Finding("extras", extra, state, f"not installed, for {use}: {', '.join(lacking)}", fix)
        else:
            detail = ", ".join(f"{package} {version}" for package, version in found.items())
            yield Finding("extras", extra, "ok", detail)


def _packages_by_extra() -> dict[str, list[str]]:
    """Return the packages of each extra but ``all``, as this distribution's metadata say."""
    found: dict[str, list[str]] = {}
    for requirement in metadata.requires("cloudcart") or ():
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        package = re.match(r"[\w.-]+", requirement)
        if extra and extra[1] != "all" and package:
            found.setdefault(extra[1], []).append(package[0])
    return found


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


class _Program(NamedTuple):
    names: tuple[str, ...]
    use: str
    debian: str
    homebrew: str


def look_at_kafka(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Look for Apache Kafka's jars, which the embedded backend can run in place of the mock broker."""
    from cloudcart.lab.kafka import KAFKA_HOME, kafka_home

    if not environment.get(KAFKA_HOME):
        use = "optional, for a broker that keeps its messages when it is killed (broker_kill)"
        fix = f"infra/kafka/fetch.sh FOLDER; export {KAFKA_HOME}=FOLDER   (from the sources; needs Maven and Java 17)"
        yield Finding("programs", "Apache Kafka", "absent", use, fix)
        return
    try:
        yield Finding("programs", "Apache Kafka", "ok", str(kafka_home()))
    except CloudCartError as error:
        yield Finding("programs", "Apache Kafka", "warning", str(error))


def look_at_docker() -> Iterator[Finding]:
    """Ask the Docker engine, if one answers, for the images of the containers backend."""
    from cloudcart.lab.containers.docker import Docker
    from cloudcart.settings import Settings

    try:
        engine = Docker()
    except CloudCartError as error:
        said, _, fix = str(error).partition("; ")
        yield Finding("containers", "Docker engine", "absent", f"optional: {said}", fix)
        return
    with closing(engine):
        yield Finding("containers", "Docker engine", "ok", "answers")
        for setting, name in engine.lacks(Settings().containers.model_dump()).items():
            fix = "infra/images/build.sh" if setting == "shop" else f"docker pull {name}, or infra/images/build.sh"
            yield Finding("containers", f"image {setting}", "absent", f"{name} is not here", fix)


_PROGRAMS: Final = (
    _Program(("prometheus",), "charts and PromQL beside the lab's own readings", "prometheus", "prometheus"),
    _Program(("docker",), "the shop in containers", "docker.io", "docker"),
    _Program(("java",), "real Apache Kafka in place of the mock broker", "default-jre-headless", "openjdk"),
    _Program(("chromium", "chromium-browser", "google-chrome", "chrome"), "tests of web pages", "chromium", "chromium"),
)


def look_at_programs(which: Callable[[str], str | None] = shutil.which) -> Iterator[Finding]:
    """Look for programs that are optional, by ``which``."""
    for program in _PROGRAMS:
        path = next(filter(None, map(which, program.names)), None)
        if path:
            yield Finding("programs", program.names[0], "ok", path)
        else:
            yield Finding(
                "programs", program.names[0], "absent", f"optional, for {program.use}", _install(program, which)
            )


def _install(program: _Program, which: Callable[[str], str | None]) -> str:
    if which("brew"):
        return f"brew install {program.homebrew}"
    if which("apt-get"):
        return f"sudo apt-get install {program.debian}"
    return f"install the package {program.debian} of your system"


def look_at_ports(ports: Mapping[str, int] | None = None) -> Iterator[Finding]:
    """Try each service's port; the default ones if none are given."""
    from cloudcart.lab.ports import hold
    from cloudcart.settings import SERVICES

    for service, port in (SERVICES if ports is None else ports).items():
        try:
            hold(port).close()
            yield Finding("ports", f"{port} ({service})", "ok", "free")
        except LabError as error:
            said = str(error).partition("; ")[0]
            yield Finding("ports", f"{port} ({service})", "warning", said, "cloudcart up --free-ports")


_CHECKS: Final[tuple[Callable[[], Iterator[Finding]], ...]] = (
    look_at_python,
    look_at_cores,
    look_at_memory,
    look_at_temporary_space,
    look_at_state_directory,
    look_at_postgres,
    look_at_valkey,
    look_at_broker,
    look_at_extras,
    look_at_programs,
    look_at_kafka,
    look_at_docker,
    look_at_ports,
)
