"""What a lab's processes are doing right now: ready or not, how much memory, how often started again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service. ``pid`` is 0 while it has no process; ``pss_bytes`` as in :func:`memory_of`."""

    ready: bool
    pid: int
    pss_bytes: int
    restarts: int


@dataclass(frozen=True, slots=True)
class LabStatus:
    """All services, and the memory of every process of the lab by name (supervisor and stores, too)."""

    services: Mapping[str, ServiceStatus]
    memory: Mapping[str, int] = field(default_factory=dict)

    @property
    def pss_bytes(self) -> int:
        """Memory of all processes together."""
        return sum(self.memory.values())

    @property
    def ready(self) -> bool:
        """Whether every service is ready."""
        return all(service.ready for service in self.services.values())


def memory_of(pid: int) -> int:
    """Return the bytes that a process and its children use; 0 if it is gone.

    Proportional set size where the kernel tells it (a page shared by n processes counts 1/n for each, so that the sum
    over processes is right), else resident memory.
    """
    import psutil

    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        # Services and stores are the supervisor's children and counted by themselves; only PostgreSQL has own ones.
        family = [process, *process.children(recursive=True)] if process.name().startswith("postgres") else [process]
        for member in family:
            with suppress(psutil.Error, OSError):
                total += _pss(member.pid) or member.memory_info().rss
    return total


def _pss(pid: int) -> int:
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
