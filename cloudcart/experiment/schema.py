"""JSON Schema of experiments and faults as documents, so that editors complete and check them while one types.

Made from the values themselves (``Experiment``, ``LoadProfile``, ``FAULTS``, the settings). What fits it may still be
refused by the reader (``document``), which also knows what makes no sense together. Printed by ``cloudcart schema``.
"""

from __future__ import annotations

from typing import Any, Final

from cloudcart.experiment.document import SCOPE, TIMING
from cloudcart.experiment.experiment import Experiment, ScheduledFault
from cloudcart.faults import FAULTS, Fault
from cloudcart.load import LoadProfile
from cloudcart.settings import describe_settings

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NUMBER_TOO: Final = {"type": "number", "minimum": 0, "description": "seconds"}
_PERCENT_TOO: Final = {"type": "string", "pattern": r"^\d+(\.\d+)?%$"}


def experiment_schema() -> Schema:
    """Return the schema of an experiment's file."""
    own = Experiment.model_json_schema()["properties"]
    objectives = {"type": "array", "items": {"$ref": "#/$defs/objective"}}
    shaped: Schema = {
        "load": {"$ref": "#/$defs/load"},
        "faults": {"type": "array", "items": {"oneOf": [_ref(kind) for kind in sorted(FAULTS)]}},
        **dict.fromkeys(("objectives", "steady", "abort_if"), objectives),
        "settings": _settings(),
    }
    return {
        "$schema": _DIALECT,
        "title": "CloudCart experiment",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _described(shaped.get(name, _lenient(field)), field) for name, field in own.items()},
        "$defs": {
            "load": _load(),
            "objective": _objective(),
            **{f"fault_{name}": _fault(kind, _timing()) for name, kind in sorted(FAULTS.items())},
        },
    }


def fault_schema() -> Schema:
    """Return the schema of a fault's file."""
    return {
        "$schema": _DIALECT,
        "title": "CloudCart fault",
        "oneOf": [_fault(kind, {}) for _, kind in sorted(FAULTS.items())],
    }


def _ref(kind: str) -> Schema:
    return {"$ref": f"#/$defs/fault_{kind}"}


def _described(schema: Schema, field: Schema) -> Schema:
    return {**schema, "description": field["description"]} if "description" in field else schema


def _load() -> Schema:
    schema = LoadProfile.model_json_schema()
    stage = {"type": "array", "prefixItems": [_lenient(_duration()), {"type": "number"}], "minItems": 2, "maxItems": 2}
    properties = {name: _lenient(field) for name, field in schema["properties"].items() if name != "model"}
    properties["stages"] = {
        "type": "array",
        "items": stage,
        "description": schema["properties"]["stages"]["description"],
    }
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": ["journey"]}


def _duration() -> Schema:
    return dict(ScheduledFault.model_json_schema()["properties"]["duration"])


def _timing() -> Schema:
    properties = ScheduledFault.model_json_schema()["properties"]
    return {name: _lenient(properties[name]) for name in TIMING}


def _fault(kind: type[Fault], more: Schema) -> Schema:
    schema = kind.model_json_schema()
    properties = {name: _lenient(field) for name, field in schema["properties"].items()}
    if "after" not in properties:
        properties["after"] = properties["skip"]
    return {
        "type": "object",
        "description": schema["description"],
        "additionalProperties": False,
        "properties": {"kind": {"const": kind.kind}, **properties, **more},
        "required": ["kind", *schema["required"]],
        **({"$defs": schema["$defs"]} if "$defs" in schema else {}),
    }


def _objective() -> Schema:
    text = {"type": "string", "examples": ["p99 < 2s", "errors < 1%", "recovery < 3s"]}
    scope = {name: {"type": "string"} for name in SCOPE}
    mapping = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"objective": text, **scope},
        "required": ["objective"],
    }
    return {"anyOf": [text, mapping]}


def _settings() -> Schema:
    scalar = {"type": ["string", "number", "boolean"]}
    properties: Schema = {}
    for setting in describe_settings():
        described = {**scalar, "description": setting.description}
        properties[setting.name] = described
        section, dot, name = setting.name.partition(".")
        if dot:
            around = properties.setdefault(section, {"type": "object", "additionalProperties": False, "properties": {}})
            around["properties"][name] = described
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _lenient(field: Schema) -> Schema:
    """Return the schema of a field as documents may write it: seconds without a unit, a share in per cent."""
    if "anyOf" in field:
        return {**field, "anyOf": [_lenient(choice) for choice in field["anyOf"]]}
    other = (
        _PERCENT_TOO
        if field.get("maximum") == 1
        else _NUMBER_TOO
        if "us|ms|s|m|h" in field.get("pattern", "")
        else None
    )
    if other is None:
        return field
    outer: Schema = {name: field[name] for name in ("title", "description", "default") if name in field}
    inner = {name: value for name, value in field.items() if name not in outer}
    return {**outer, "anyOf": [inner, other]}
