"""What a Chaos Toolkit experiment says, read into plain values: its activities in order, names and variables resolved.

Format: https://chaostoolkit.org/reference/api/experiment/. Not here: what an activity means for us (``actions``,
``probes``). Nothing of the file is ever run; secrets are not even read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cloudcart.documents import Document, Field

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
Section = Literal["steady-state-hypothesis", "method", "rollbacks"]


@dataclass(frozen=True)
class Activity:
    """One action or probe. ``does`` is what its provider calls: a function's full name, a program, a method and URL."""

    name: str
    kind: Literal["action", "probe"]
    provider: str
    does: str
    arguments: Mapping[str, Any]
    field: Field
    before: float = 0.0
    after: float = 0.0
    background: bool = False
    tolerance: Any = None
    timeout: float | None = None

    def text(self, *names: str) -> str:
        """Return the first of these arguments that is given, as text; empty if none is."""
        found = next((self.arguments[name] for name in names if self.arguments.get(name) is not None), "")
        return str(found)

    def number(self, name: str, default: float = 0.0) -> float:
        """Return an argument as a number."""
        try:
            return float(self.arguments.get(name, default))
        except (TypeError, ValueError):
            return default


def activities(document: Document, section: Section) -> list[Activity]:
    """Return the activities of a section of the experiment.

    Raises:
        UsageError: the section is not what Chaos Toolkit's format says; the message names file, line and field.
    """
    field: Field = (section, "probes") if section == "steady-state-hypothesis" else (section,)
    items = document.get(field)
    if items is None:
        return []
    if not isinstance(items, list):
        raise document.error("Chaos Toolkit has a list of activities here", field)
    known = _named(document.values)
    variables = _variables(document.values.get("configuration"))
    found = []
    for place, item in enumerate(items):
        item = known.get(item["ref"], item) if isinstance(item, dict) and "ref" in item else item
        found.append(_activity(document, (*field, place), item, variables))
    return found


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return every activity that is declared in full, by its name, for those that refer to it."""
    hypothesis = values.get("steady-state-hypothesis") or {}
    probes = hypothesis.get("probes") if isinstance(hypothesis, dict) else []
    lists = (probes, values.get("method"), values.get("rollbacks"))
    declared = [item for items in lists if isinstance(items, list) for item in items if isinstance(item, dict)]
    return {str(item["name"]): item for item in declared if "name" in item and "provider" in item}


def _variables(configuration: Any) -> dict[str, str]:
    """Return what ``${name}`` stands for: inline values, and variables of the environment or their defaults."""
    found: dict[str, str] = {}
    for name, value in (configuration if isinstance(configuration, dict) else {}).items():
        if isinstance(value, dict) and value.get("type") == "env":
            value = os.environ.get(str(value.get("key")), value.get("default", ""))
        if isinstance(value, str | int | float):
            found[str(name)] = str(value)
    return found


def _activity(document: Document, field: Field, item: Any, variables: Mapping[str, str]) -> Activity:
    item = _filled(item, variables)
    provider = item.get("provider") if isinstance(item, dict) else None
    if not isinstance(provider, dict) or item.get("type") not in ("action", "probe"):
        raise document.error("an activity of Chaos Toolkit has a type (action or probe), a name and a provider", field)
    pauses = item.get("pauses") or {}
    kind = str(provider.get("type"))
    arguments = provider.get("arguments") or {}
    return Activity(
        name=str(item.get("name", "")),
        kind=item["type"],
        provider=kind,
        does=_what(kind, provider),
        arguments=arguments if isinstance(arguments, dict) else {"arguments": arguments},
        field=field,
        before=_seconds(pauses.get("before")),
        after=_seconds(pauses.get("after")),
        background=bool(item.get("background")),
        tolerance=item.get("tolerance"),
        timeout=_timeout(provider.get("timeout")),
    )


def _what(kind: str, provider: Mapping[str, Any]) -> str:
    if kind == "python":
        return f"{provider.get('module')}.{provider.get('func')}"
    if kind == "http":
        return f"{str(provider.get('method', 'GET')).upper()} {provider.get('url')}"
    return str(provider.get("path", ""))


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inner, variables) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, variables) for inner in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), value)
    return value


def _seconds(value: Any) -> float:
    try:
        return max(0.0, float(value or 0))
    except (TypeError, ValueError):
        return 0.0


def _timeout(value: Any) -> float | None:
    """Return a provider's patience; two numbers are those for connecting and for reading."""
    return _seconds(value[-1] if isinstance(value, list) and value else value) or None
