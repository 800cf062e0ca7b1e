"""What a kind of fault promises: how far it moves which quantity of the shop, how soon it shows and how soon it clears.

Each promise is made for one document, the kind's example, which the catalogue shows and with which the promise is
measured on a running shop (``tests/lab/contracts``). Not here: how a quantity is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from cloudcart.units import format_duration

_FORMATS: Final[Mapping[str, Callable[[float], str]]] = {
    "s": lambda value: format_duration(round(value, 3)),
    "share": lambda value: f"{round(100 * value, 1):g}%",
    "bytes": lambda value: f"{value / 2**20:.3g}MiB",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that can be read of a running shop again and again; near zero while nothing is broken."""

    name: str
    unit: str

    def format(self, value: float) -> str:
        """Return text for an amount of it, as ``40ms`` or ``25%``."""
        if self.unit in _FORMATS:
            return _FORMATS[self.unit](value)
        return f"{value:.3g} {self.unit.removesuffix('s') if value == 1 else self.unit}"


TIME_OF_LOOKS: Final = Quantity("time of the fastest of five GET /products/1", "s")
FAILED_LOOKS: Final = Quantity("share of GET /products/1 that fails", "share")
SERVER_ERRORS: Final = Quantity("share of GET /products/1 that is answered with 500", "share")
REFUSED_READINESS: Final = Quantity("share of GET /ready of products that is refused", "share")
REFUSED_TOKENS: Final = Quantity("share of good tokens that orders refuses", "share")
TIME_OF_LOG_INS: Final = Quantity("time of POST /auth/login, refused after too many wrong ones", "s")
CHECKED_GUESSES: Final = Quantity("share of POST /auth/login let in again after too many wrong ones", "share")
CPU: Final = Quantity("processor time of the products process", "cores")
MEMORY: Final = Quantity("growth of the memory of the products process", "bytes")
OPEN_FILES: Final = Quantity("growth of the open files of the products process", "files")
STALL: Final = Quantity("longest wait for GET /health of products", "s")
POOL: Final = Quantity("db_pool_in_use of products, as a share of db_pool_size", "share")
KILLED_SESSIONS: Final = Quantity("sessions in pg_stat_database.sessions_killed, while products is asked", "sessions")
LAG: Final = Quantity("kafka_consumergroup_lag of user.created, after a registration", "messages")
OUTBOX: Final = Quantity("outbox_pending of users, after a registration", "events")
END_TO_END: Final = Quantity("event_end_to_end_seconds of a registration", "s")
IGNORED: Final = Quantity("kafka_events_consumed_total{outcome=ignored}, for each registration", "messages")
DEAD_LETTERS: Final = Quantity("kafka_events_consumed_total{outcome=dead_letter}, for each registration", "messages")


@dataclass(frozen=True, slots=True)
class Contract:
    """What a fault must do to which signal, how soon it shows and how soon it clears (seconds).

    ``change`` says it for any parameters. Under the document ``example`` the ``quantity`` grows by ``at_least`` within
    ``shows_within`` of the call that injects, and falls below half of that within ``clears_within`` of the heal.
    """

    signal: str
    change: str
    shows_within: float
    clears_within: float
    quantity: Quantity = FAILED_LOOKS
    at_least: float = 0.0
    example: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    def document(self) -> dict[str, object]:
        """Return it as the catalogue shows it."""
        return {
            "signal": self.signal,
            "change": self.change,
            "quantity": self.quantity.name,
            "at_least": self.quantity.format(self.at_least),
            "shows_within": self.shows_within,
            "clears_within": self.clears_within,
            "example": dict(self.example),
        }
