"""What kinds have in common that do nothing but delay a statement, a command or a message."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cloudcart.faults.base import Fault
from cloudcart.faults.places import Broker, Store
from cloudcart.units import Duration, format_duration


class DelayingFault(Fault):
    """A fault that lets each piece of work wait; ``of_what`` completes its label."""

    of_what: ClassVar[str]

    delay: Duration = Field(0.1, gt=0, description="how much longer each one takes")

    async def act(self, work: Store | Broker, /) -> None:
        """Delay, then forward."""
        await work.delay(self.delay)
        await work.forward()

    @property
    def label(self) -> str:
        """As ``+100ms a message on notifications``."""
        return f"+{format_duration(self.delay)} {self.of_what} on {self.aim}"
