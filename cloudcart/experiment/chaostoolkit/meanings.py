"""What an action of Chaos Toolkit can mean for us: a fault begins or ends, time passes, nothing is to be done, or we
have nothing that does the same; and what names in its file mean.

Values that ``toxiproxy``, ``kubernetes`` and ``programs`` make, and the schedule reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cloudcart.faults.target import STORES, Target
from cloudcart.settings import SERVICES

_NICKNAMES: Final = {"postgresql": "postgres", "pg": "postgres", "db": "postgres", "valkey": "redis", "cache": "redis"}


@dataclass(frozen=True)
class Begins:
    """A fault begins, and lasts until it is ended by ``key``, or for ``duration``, or to the end of the method."""

    document: Mapping[str, Any]
    key: str
    duration: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Ends:
    """The faults that were begun under ``key`` end."""

    key: str


@dataclass(frozen=True)
class Waits:
    """Time passes."""

    seconds: float


@dataclass(frozen=True)
class Needless:
    """Nothing is to be done, for this reason."""

    why: str


@dataclass(frozen=True)
class Unknown:
    """We have nothing that does the same; ``instead`` is what to write."""

    why: str
    instead: str


Meaning = Begins | Ends | Waits | Needless | Unknown


@dataclass(frozen=True)
class Names:
    """What names in the file mean here: those that were given (``--map``), and those that speak for themselves."""

    given: Mapping[str, str] = field(default_factory=dict)

    def service(self, name: str) -> str | None:
        """Return the service that a name means."""
        found = self.given.get(name, name)
        words = re.split(r"[^a-z0-9]+", found.lower())
        singular = {service.rstrip("s"): service for service in SERVICES}
        return next((singular[word.rstrip("s")] for word in words if word.rstrip("s") in singular), None)

    def link(self, name: str) -> str | None:
        """Return the link ``service->peer`` that a proxy's name means, as ``products_postgres`` does."""
        found = self.given.get(name, name)
        if "->" in found:
            return str(Target.parse(found))
        words = [_NICKNAMES.get(word, word) for word in re.split(r"[^a-z0-9]+", found.lower())]
        known = [word for word in words if word in (*SERVICES, *STORES)]
        return f"{known[0]}->{known[1]}" if len(known) == 2 and known[0] in SERVICES else None


def unclear(name: str, what: str, example: str) -> Unknown:
    """Return that a name says not which service or link it is, and how to say it."""
    return Unknown(f"it is not clear which {what} {name!r} is", f"-m '{name}={example}'")
