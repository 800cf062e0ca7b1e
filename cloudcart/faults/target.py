"""What a fault is aimed at: a service, one route of it, a link between two parts, or a Kafka topic.

Text forms: ``products`` · ``products:/products/{id}`` · ``products->postgres`` · ``kafka:order.created``. Whether the
named part exists is for the control plane to say; here only the form is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from cloudcart.settings import SERVICES

STORES: Final = ("postgres", "redis", "kafka")
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")


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
            ValueError: the text has none of the four forms, or names a service or store that does not exist.
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
            _require(link, (*SERVICES, *STORES), text)
            target = cls(service=service, link=link)
        else:
            service, _, route = text.partition(":")
            if route and not route.startswith("/"):
                raise ValueError(f"{text!r}: a route begins with a slash, as products:/products/{{product_id}}")
            target = cls(service=service, route=route or None)
        _require(service, tuple(SERVICES), text)
        return target

    def __str__(self) -> str:
        if self.topic is not None:
            return f"kafka:{self.topic}"
        if self.link is not None:
            return f"{self.service}->{self.link}"
        return f"{self.service}:{self.route}" if self.route else self.service


def _require(name: str, known: tuple[str, ...], text: str) -> None:
    if not _NAME.fullmatch(name) or name not in known:
        raise ValueError(f"there is no {name!r} to aim at in {text!r}; choose one of {', '.join(known)}")


def _validate(value: object) -> Target:
    return value if isinstance(value, Target) else Target.parse(value)  # type: ignore[arg-type]  # parse checks


TargetText = Annotated[
    Target,
    BeforeValidator(_validate),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["products", "products:/products/{id}", "products->postgres"]}),
]
"""A target that documents write as text."""
