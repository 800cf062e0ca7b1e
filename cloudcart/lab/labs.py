"""The doors to labs: start one, attach to one, list them, stop one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from cloudcart.exceptions import UsageError
from cloudcart.lab import external, local
from cloudcart.lab.backend import Backend, Progress, StartRequest
from cloudcart.lab.directory import find, running
from cloudcart.lab.lab import Lab
from cloudcart.lab.progress import Phase

_BACKENDS: Final[Mapping[str, Backend]] = {
    "embedded": local.LocalBackend("embedded"),
    "containers": local.LocalBackend("containers"),
    "external": external.ExternalBackend(),
}


def start(
    backend: str = "embedded",
    *,
    name: str | None = None,
    overrides: Mapping[str, object] | None = None,
    ports: Literal["free", "default"] = "free",
    detach: bool = False,
    prometheus: bool = True,
    traffic: bool = False,
    programs: Mapping[str, Path] | None = None,
    data: Path | None = None,
    progress: Progress | None = None,
) -> Lab:
    """Start a shop and return when every service is ready; it ends with this process, however that ends.

    Args:
        backend: where it runs: "embedded" (processes of this machine), "containers" (its Docker engine), or "external"
            (somebody else started it; nothing is started).
        name: by which others find it; one of its own if not given.
        overrides: settings by their dotted names, as ``{"gateway.rate_limit": "off"}``.
        ports: "free" finds them, "default" takes 3000 and 8001 to 8005, and 8006 for traffic.
        detach: the shop outlives this process; :func:`stop` ends it.
        prometheus: start a Prometheus server, too, where there is a ``prometheus`` program on the PATH.
        traffic: let synthetic visitors come as soon as the shop is ready (settings ``traffic.*``).
        programs: paths of stores to use in place of the installed wheels: "postgres" is an installation (the folder
            that has ``bin``), "valkey" a server program.
        data: a directory in which PostgreSQL's data, and who can log in, outlive the shop; a reset empties them, too.
        progress: told about each phase when it is done.

    Raises:
        UsageError: an unknown backend, setting or name; nothing was started.
        LabError: it could not start; what had started was ended.
    """
    found = _BACKENDS.get(backend)
    if found is None:
        raise UsageError(f"there is no backend {backend!r}; choose one of {', '.join(_BACKENDS)}")
    if ports not in ("free", "default"):
        raise UsageError(f"ports are 'free' or 'default', not {ports!r}")
    request = StartRequest(
        name=name or f"lab-{secrets.token_hex(4)}",
        overrides=dict(overrides or {}),
        ports=ports,
        detach=detach,
        prometheus=prometheus,
        traffic=traffic,
        programs=dict(programs or {}),
        data=data,
    )
    handle = found.start(request, progress or _silent)
    try:
        return Lab(request.name, backend, handle)
    except BaseException:
        handle.close()
        raise


def attach(name: str = "default") -> Lab:
    """Return a lab that runs already; closing it does not end it.

    Raises:
        LabError: no lab of this name is running; the message says which are.
    """
    handle = local.attach(find(name))
    return Lab(name, handle.record()["backend"], handle)


def list_labs() -> list[str]:
    """Return the names of this user's running labs."""
    return [directory.name for directory in running()]


def stop(name: str = "default") -> None:
    """End a lab, whoever started it, and wait until nothing of it is left.

    Raises:
        LabError: no lab of this name is running, or it did not end within 5 s.
    """
    local.stop(find(name))


def _silent(_phase: Phase) -> None:
    """Progress that nobody wants to hear of."""
