"""What a backend is: it makes a lab from a request and gives a handle to it. One file each; ``lab.labs`` chooses.

A scenario does not know which backend it runs on. Not here: any backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from cloudcart.lab.progress import Phase

Progress = Callable[[Phase], None]
"""Told about each phase of a start when it is done."""


@dataclass(frozen=True)
class StartRequest:
    """What somebody wants: a lab called ``name``, with these ``overrides`` of settings.

    ``ports`` is "default" (3000, 8001 to 8006) or "free"; with ``detach`` the lab outlives its starter; ``prometheus``
    is whether a server found on the PATH is started, too, ``traffic`` whether synthetic visitors come; ``programs`` are
    paths of stores ("postgres", "valkey") to be used in place of the installed wheels; ``data`` is a directory in which
    PostgreSQL's data outlive the lab.
    """

    name: str
    overrides: Mapping[str, object] = field(default_factory=dict)
    ports: Literal["free", "default"] = "free"
    detach: bool = False
    prometheus: bool = True
    traffic: bool = False
    programs: Mapping[str, Path] = field(default_factory=dict)
    data: Path | None = None


class Handle(Protocol):
    """A lab as its backend knows it."""

    @property
    def directory(self) -> Path:
        """Where the lab keeps its files, logs among them."""

    def record(self) -> dict[str, Any]:
        """Return what the lab is now: urls, pids, logins, seconds, phases, settings.

        Raises:
            LabError: the lab is gone.
        """

    def control(self, command: str, **arguments: object) -> dict[str, Any]:
        """Do something to a process of the lab.

        Raises:
            UsageError: this backend or this lab has no such command or process; nothing happened.
            LabError: the lab is gone.
        """

    def close(self) -> None:
        """End the lab if it belongs to this process; else only let go of it. Idempotent."""


class Backend(Protocol):
    """Makes labs."""

    def start(self, request: StartRequest, progress: Progress) -> Handle:
        """Start a lab and return when it is ready.

        Raises:
            UsageError: what was asked for makes no sense.
            LabError: it could not start; what had started was ended again.
        """
