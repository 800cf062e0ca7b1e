"""Experiments as documents: what a YAML, TOML or JSON file says becomes an :class:`Experiment`, and back.

A document has the fields of the value; a fault is its flat document with ``start`` and ``duration``, an objective its
text or a mapping. Every error names file, line and field. Not here: pytest markers (``scenario``), running (``run``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from cloudcart.documents import Document, Field, read_document
from cloudcart.exceptions import UsageError
from cloudcart.experiment.experiment import Experiment, ScheduledFault
from cloudcart.faults import Fault, parse_fault
from cloudcart.load import LoadProfile
from cloudcart.settings import Settings
from cloudcart.signals import Objective

TIMING: Final = ("start", "duration")
"""What a fault in an experiment says beside its own document: when it acts."""

SCOPE: Final = tuple(
    item.name for item in fields(Objective) if item.name not in ("text", "signal", "operator", "bound", "unit")
)
"""What an objective can say beside its text."""

_OBJECTIVES: Final = ("objectives", "steady", "abort_if")


def read_experiment(path: Path, *, seed: int | None = None, settings: Mapping[str, str] | None = None) -> Experiment:
    """Return the experiment that a file describes.

    Args:
        path: a file in YAML, TOML or JSON.
        seed: instead of the file's.
        settings: settings of the shop that win over the file's.

    Raises:
        UsageError: it cannot be read or makes no sense; the message names file, line and field.
    """
    document = read_document(path)
    if seed is not None:
        document.values["seed"] = seed
    experiment = _experiment(document)
    return experiment.model_copy(update={"settings": {**experiment.settings, **(settings or {})}})


def read_fault(path: Path) -> Fault:
    """Return the fault that a file describes; raises as :func:`read_experiment`."""
    document = read_document(path)
    return _fault(document, (), document.values)


def _experiment(document: Document) -> Experiment:
    if "method" in document.values:
        again = f"cloudcart import chaostoolkit {document.path.name} -o experiment.yaml"
        raise document.error(f"this looks like an experiment of Chaos Toolkit; make one of ours of it with: {again}")
    known = Experiment.model_fields
    for name in document.values:
        if name not in known:
            raise document.error(f"an experiment has no such field; it has {', '.join(known)}", (name,))
    values = {"name": document.path.stem, **document.values}
    seed = values.get("seed", 0)
    if (load := values.get("load")) is not None:
        values["load"] = _load(document, load, seed)
    for name in _OBJECTIVES:
        values[name] = tuple(_objective(document, (name, place), item) for place, item in _items(document, name))
    values["settings"] = _settings(document)
    experiment = _made(document, {**values, "faults": ()})
    for place, item in _items(document, "faults"):  # one after the other, so that the first that does not fit is named
        scheduled = _scheduled(document, ("faults", place), item)
        with document.blame(("faults", place)):
            experiment = _made(document, {**values, "faults": (*experiment.faults, scheduled)})
    return experiment


def _made(document: Document, values: Mapping[str, Any]) -> Experiment:
    try:
        return Experiment(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise document.error(first["msg"].removeprefix("Value error, "), first["loc"]) from None
    except UsageError as error:
        raise UsageError(str(error).removeprefix(f"{values['name']}: ")) from None


def _items(document: Document, name: str) -> list[tuple[int, Any]]:
    items = document.values.get(name, [])
    if not isinstance(items, list):
        raise document.error("write a list, one item after the other", (name,))
    return list(enumerate(items))


def _mapping(document: Document, field: Field, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise document.error(f"write names and values here, not {value!r}", field)
    return dict(value)


def _load(document: Document, value: Any, seed: Any) -> LoadProfile:
    given = _mapping(document, ("load",), value)
    with document.blame(("load",)):
        try:
            return LoadProfile(**{**_shared(seed), **given})
        except UsageError as error:
            raise UsageError(str(error).removeprefix("load profile: ")) from None


def _shared(seed: Any) -> dict[str, int]:
    """Return the load's seed, where it has none of its own; what is no seed is the experiment's to refuse."""
    return {"seed": seed} if isinstance(seed, int) and seed >= 0 else {}


def _scheduled(document: Document, field: Field, value: Any) -> ScheduledFault:
    given = _mapping(document, field, value)
    timing = {name: given.pop(name) for name in TIMING if name in given}
    fault = _fault(document, field, given)
    try:
        return ScheduledFault(fault=fault, **timing)
    except ValidationError as error:
        first = error.errors()[0]
        raise document.error(first["msg"].removeprefix("Value error, "), (*field, *first["loc"])) from None


def _fault(document: Document, field: Field, value: dict[str, Any]) -> Fault:
    with document.blame(field):
        return parse_fault(value)


def _objective(document: Document, field: Field, value: Any) -> Objective:
    options = {"objective": value} if isinstance(value, str) else _mapping(document, field, value)
    text = options.pop("objective", None)
    if text is None:
        raise document.error("say what must hold, as 'objective: p99 < 2s'", field)
    with document.blame(field):
        return Objective.parse(text, **options)


def _settings(document: Document) -> dict[str, str]:
    """Return the settings by their dotted names; a document may write them so, or as a section with its fields."""
    found: dict[str, str] = {}
    for name, value in _mapping(document, ("settings",), document.values.get("settings", {})).items():
        inner = {f"{name}.{key}": (key, item) for key, item in value.items()} if isinstance(value, dict) else None
        for dotted, (key, item) in (inner or {name: ("", value)}).items():
            with document.blame(("settings", name, key) if key else ("settings", name)):
                found[dotted] = _setting(dotted, item)
    return found


def _setting(name: str, value: Any) -> str:
    text = ("on" if value else "off") if isinstance(value, bool) else str(value)
    Settings.model_construct().with_overrides({name: text})
    return text


def experiment_document(experiment: Experiment) -> dict[str, Any]:
    """Return the document of an experiment: what it says beyond the defaults, in the order of its fields."""
    written: dict[str, Any] = {"name": experiment.name}
    plain = experiment.model_dump(mode="json", exclude_defaults=True, exclude={"faults", "load", *_OBJECTIVES})
    for name in type(experiment).model_fields:
        if name == "load" and experiment.load is not None:
            written[name] = _load_document(experiment.load, experiment.seed)
        elif name == "faults" and experiment.faults:
            written[name] = [_fault_document(scheduled) for scheduled in experiment.faults]
        elif name in _OBJECTIVES and (objectives := getattr(experiment, name)):
            written[name] = [_objective_document(objective) for objective in objectives]
        elif name in plain:
            written[name] = plain[name]
    return written


def _load_document(load: LoadProfile, seed: int) -> dict[str, Any]:
    said = load.model_dump(mode="json", exclude_defaults=True, exclude={"model", "seed"})
    return said if load.seed == seed else {**said, "seed": load.seed}


def _fault_document(scheduled: ScheduledFault) -> dict[str, Any]:
    fault = scheduled.fault
    said = {"kind": fault.kind, **fault.model_dump(mode="json", exclude_unset=True)}  # a TTL that was said is kept
    return {**said, **scheduled.model_dump(mode="json", include=set(TIMING))}


def _objective_document(objective: Objective) -> str | dict[str, Any]:
    scope = {name: value for name in SCOPE if (value := getattr(objective, name)) is not None}
    without_source = {name: value for name, value in scope.items() if name != "source"}
    if Objective.parse(objective.text, **without_source) == objective:
        scope = without_source
    return {"objective": objective.text, **scope} if scope else objective.text
