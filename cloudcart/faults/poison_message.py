"""``poison_message``: a message that nobody can read is put on a topic."""

from __future__ import annotations

from typing import Final

from cloudcart.faults.base import Fault
from cloudcart.faults.contract import DEAD_LETTERS, Contract
from cloudcart.faults.places import Broker

POISON: Final = b'\xff\xfe{"poison": '
"""Neither text in UTF-8 nor JSON."""


class PoisonMessage(Fault):
    """An unreadable message right before one that is published, on its topic and with its key; ``first=1`` puts one."""

    kind = "poison_message"
    place = "broker"
    store = "kafka"
    side = "publish"
    contract = Contract(
        "events",
        "kafka_events_consumed_total{outcome=dead_letter} grows by one each",
        quantity=DEAD_LETTERS,
        at_least=1.0,
        shows_within=2.0,
        clears_within=2.0,
        example={"target": "users"},
    )

    async def act(self, broker: Broker, /) -> None:
        """Put it, then forward."""
        await broker.put(POISON)
        await broker.forward()

    @property
    def label(self) -> str:
        """As ``poison on kafka:order.created``."""
        return f"poison on {self.aim}"
