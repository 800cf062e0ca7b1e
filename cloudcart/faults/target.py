"""What a fault is aimed at: a service, one route of it, a link between two parts, or a Kafka topic.

Text forms: ``products`` · ``products:/products/{id}`` · ``products->postgres`` · ``kafka:order.created``. A target is
valid in form whatever it names, since any application may be a target; whether the named part exists is checked by
:meth:`Target.require_known`, against the shop's services or those that a control plane has heard of.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from cloudcart.settings import SERVICES

STORES: Final = ("postgres", "redis", "kafka")
_NAME: Final = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed target. Exactly one of ``route``, ``link`` and ``topic`` may be set."""

    service: str
    route: str | None = None
    link: str | None = None
    topic: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a target's text form.

        Raises:
            ValueError: the text has none of the four forms.
        """
        if not isinstance(text, str):
            raise ValueError(f"a target is text like 'products' or 'products->postgres', not {text!r}")
        if text.startswith("kafka:"):
            topic = text.removeprefix("kafka:")
            if not topic:
                raise ValueError("a topic target names its topic, as kafka:order.created")
            return cls(service="kafka", topic=topic)
        if "->" in text:
            service, _, link = text.partition("->")
            target = cls(service=service, link=link)
        else:
            service, _, route = text.partition(":")
            if route and not route.startswith("/"):
                raise ValueError(f"{text!r}: a route begins with a slash, as products:/products/{{product_id}}")
            target = cls(service=service, route=route or None)
        for name in (target.service, target.link):
            if name is not None and not _NAME.fullmatch(name):
                raise ValueError(f"{text!r} names nothing; write a target like products or products->postgres")
        return target

    def require_known(self, services: Collection[str] = tuple(SERVICES)) -> None:
        """Check that what is named exists; topics are made by whoever publishes first, so any will do.

        What an application that is not of the shop calls is known to that application alone.

        Raises:
            ValueError: no such service or store; the message lists what there is.
        """
        if self.topic is None:
            self._require(self.service, services)
            if self.link is not None and self.service in SERVICES:
                self._require(self.link, (*services, *STORES))

    def _require(self, name: str, known: Collection[str]) -> None:
        if name not in known:
            raise ValueError(f"there is no {name!r} to aim at in '{self}'; choose one of {', '.join(known)}")

    def __str__(self) -> str:
        if self.topic is not None:
            return f"kafka:{self.topic}"
        if self.link is not None:
            return f"{self.service}->{self.link}"
        return f"{self.service}:{self.route}" if self.route else self.service


def _validate(value: object) -> Target:
    return value if isinstance(value, Target) else Target.parse(value)  # type: ignore[arg-type]  # parse checks


TargetText = Annotated[
    Target,
    BeforeValidator(_validate),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["products", "products:/products/{id}", "products->postgres"]}),
]
"""A target that documents write as text."""
