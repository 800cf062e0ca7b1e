"""The catalogue of all kinds, made from the registry: as data, in words, and as a page of the documentation.

``python -m cloudcart.faults.catalogue > docs/faults.md`` writes the page; ``cloudcart faults`` and the control plane
show the same. Not here: what a kind is (its own file) and what was measured of it (``docs/fault-contracts.md``).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from cloudcart.faults import FAULTS
from cloudcart.faults.base import Fault
from cloudcart.units import format_duration, format_size

_OPTIONS: Final = ("target", "probability", "ttl", "seed")  # fields that the command line has options of their own for
_UNITS: Final = {
    "80ms": "duration",
    "2h": "duration, or minus one",
    "64KiB": "size",
    0.05: "share",
    "products": "target",
}
_TYPES: Final = {"string": "text", "integer": "whole number"}
_INTRODUCTION: Final = """\
# The catalogue of faults

Made from the registry by `python -m cloudcart.faults.catalogue`; `cloudcart faults KIND` prints the same of one kind.
What was measured of each contract is in [fault-contracts.md](fault-contracts.md).

A duration is text with a unit (`80ms`, `5s`, `2m`), a share a number from 0 to 1 or a percentage, a size bytes or text
with a unit (`64KiB`). A target is a service (`products`), one of its routes (`products:/products/{id}`), a link
(`products->postgres`), or a topic (`kafka:order.created`). The same document works in Python, over HTTP, in files and
on the command line, where `--param NAME=VALUE` gives what has no option of its own.

In a lab a single request can bring a fault of its own, which acts on that request alone, however deep its target is:
`X-CloudCart-Inject: latency;fixed=200ms;target=products`. It is marked, counted and told like an injected one, under an
id that begins with `request-`, and listed with the state `carried`; there is nothing to heal.
"""
_SHARED: Final = """\
## What every kind has

Kinds that act on a process refuse the fields that choose among requests; those that act on links, stores and messages
refuse what only requests have: method, header, user, direction.
"""


class Parameter(NamedTuple):
    """One field of a kind, as text for people."""

    name: str
    default: str
    unit: str
    description: str


def catalogue() -> list[dict[str, object]]:
    """Return every kind with its parameters (JSON Schema), what it acts on, what it needs, and its contract."""
    return [
        {
            "kind": name,
            "acts_on": kind.place,
            "description": describe(kind),
            "parameters": kind.model_json_schema(),
            "needs": kind.needs,
            "contract": kind.contract.document(),
        }
        for name, kind in sorted(FAULTS.items())
    ]


def describe(kind: type[Fault]) -> str:
    """Return what a kind does, in a sentence."""
    return _unwrap(kind.__doc__ or "").splitlines()[0]


def parameters(kind: type[Fault]) -> list[Parameter]:
    """Return the fields of a kind, those of its own first."""
    schema = kind.model_json_schema()
    required, shared = schema.get("required", ()), Fault.model_fields
    found = [_parameter(name, field, required) for name, field in schema["properties"].items()]
    return sorted(found, key=lambda one: one.name in shared and not is_own(kind, one.name))


def is_own(kind: type[Fault], name: str) -> bool:
    """Return whether a field means something in this kind that it does not mean in all."""
    shared = Fault.model_fields.get(name)
    return shared is None or kind.model_fields[name].description != shared.description


def example(kind: type[Fault]) -> str:
    """Return the command that injects the example of the kind's contract."""
    words = ["cloudcart", "inject", kind.kind, "--target", str(kind.contract.example["target"])]
    for name, value in kind.contract.example.items():
        if name != "target":
            words += [f"--{name}", str(value)] if name in _OPTIONS else ["--param", f"{name}={value}"]
    return shlex.join([*words, "--ttl", "30s"])


def promise(kind: type[Fault]) -> str:
    """Return the contract of a kind in words."""
    contract = kind.contract
    return (
        f"{contract.change}. Under the example: {contract.quantity.name} grows by at least "
        f"{contract.quantity.format(contract.at_least)} within {format_duration(contract.shows_within)}, and is back "
        f"within {format_duration(contract.clears_within)} of the heal."
    )


def page() -> str:
    """Return the page of the documentation."""
    lines = [_INTRODUCTION, "| kind | acts on | what it does |", "|---|---|---|"]
    lines += [f"| [`{name}`](#{name}) | {kind.place} | {describe(kind)} |" for name, kind in sorted(FAULTS.items())]
    lines += ["", _SHARED, *_table(map(_shared_parameter, Fault.model_fields)), ""]
    for name, kind in sorted(FAULTS.items()):
        lines += _section(name, kind)
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, kind: type[Fault]) -> Iterator[str]:
    yield from (f"## {name}", "", _unwrap(kind.__doc__ or ""), "")
    if kind.needs:
        yield from (f"Needs {kind.needs}.", "")
    own = [parameter for parameter in parameters(kind) if is_own(kind, parameter.name)]
    if own:
        yield from (*_table(own), "")
    yield from (f"**{kind.contract.signal}**: {promise(kind)}", "", "```", example(kind), "```", "")


def _table(rows: Iterable[Parameter]) -> Iterator[str]:
    yield "| parameter | default | unit | what it does |"
    yield "|---|---|---|---|"
    for name, default, unit, description in rows:
        yield f"| `{name}` | {default} | {unit.replace('|', 'or')} | {description} |"


def _unwrap(text: str) -> str:
    """Return a docstring's paragraphs, each on one line and without reStructuredText's double backticks."""
    paragraphs = text.replace("``", "`").strip().split("\n\n")
    return "\n\n".join(" ".join(line.strip() for line in paragraph.splitlines()) for paragraph in paragraphs)


def _shared_parameter(name: str) -> Parameter:
    schema = Fault.model_json_schema()
    return _parameter(name, schema["properties"][name], schema["required"])


def _parameter(name: str, field: Mapping[str, Any], required: Iterable[str]) -> Parameter:
    default = "required" if name in required else _default(field)
    return Parameter(name, default, _unit(field), field.get("description", ""))


def _default(field: Mapping[str, Any]) -> str:
    """Return a field's default as one would type it; sizes are known by their example."""
    value = field.get("default")
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return format_size(value) if "64KiB" in field.get("examples", ()) else f"{value:g}"


def _unit(field: Mapping[str, Any]) -> str:
    """Return what to write for a value: the quantities of :mod:`cloudcart.units` say so by their first example."""
    schema = next((one for one in field.get("anyOf", ()) if one.get("type") != "null"), field)
    if "enum" in schema:
        return " | ".join(schema["enum"])
    known = _UNITS.get(next(iter(schema.get("examples", ())), ""))
    return known or _TYPES.get(str(schema.get("type")), str(schema.get("type", "")))


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 -- that is what it is for
