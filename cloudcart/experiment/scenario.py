"""Scenarios: pytest functions that state a claim; here they are found by name and read into experiments.

The markers on the function are the experiment, its docstring the claim, so that pytest and the command line run the
very same thing. The pytest plugin calls :func:`experiment_from_markers`; the command line calls :func:`load_scenario`,
which takes an experiment's document, too.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import ValidationError

from cloudcart.documents import SUFFIXES
from cloudcart.exceptions import MissingExtraError, UsageError
from cloudcart.experiment.document import read_experiment
from cloudcart.experiment.experiment import Experiment, ScheduledFault
from cloudcart.faults import parse_fault
from cloudcart.load import LoadProfile
from cloudcart.signals import Objective

_PACKAGE: Final = Path(__file__).resolve().parent.parent


class Mark(Protocol):
    """What a pytest marker looks like from here."""

    @property
    def name(self) -> str:
        """The marker's name."""

    @property
    def args(self) -> tuple[Any, ...]:
        """Its positional arguments."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Its keyword arguments."""


def experiment_from_markers(
    name: str,
    claim: str,
    marks: Iterable[Mark],
    *,
    seed: int = 0,
    settings: Mapping[str, str] | None = None,
    time_scale: float = 1.0,
    of_the_shop: bool = True,
) -> Experiment:
    """Return the experiment that markers describe.

    Args:
        name: the scenario's name.
        claim: what it claims, in a sentence (the function's docstring).
        marks: the markers, in source order.
        seed: chooses which requests faults hit and what the load does.
        settings: settings given from outside, which win over ``cloudcart_settings``.
        time_scale: how many times faster than real time SLO periods and burn-rate windows run.
        of_the_shop: targets name services of the shop; else, of somebody's own application.

    Raises:
        UsageError: a marker that makes no sense; the message names it.
    """
    found: dict[str, list[Mark]] = {}
    for mark in marks:
        found.setdefault(mark.name, []).append(mark)
    if len(found.get("cloudcart_load", [])) > 1:
        raise UsageError(f"{name}: one cloudcart_load marker, please, not {len(found['cloudcart_load'])}")
    own_settings = {
        key: str(value) for mark in found.get("cloudcart_settings", ()) for key, value in mark.args[0].items()
    }
    try:
        return Experiment(
            name=name,
            claim=claim,
            load=next((_profile(mark, seed) for mark in found.get("cloudcart_load", ())), None),
            faults=tuple(_scheduled(mark, of_the_shop) for mark in found.get("cloudcart_fault", ())),
            objectives=_objectives(found, "cloudcart_slo"),
            steady=_objectives(found, "cloudcart_steady"),
            abort_if=_objectives(found, "cloudcart_abort_if"),
            settings={**own_settings, **(settings or {})},
            seed=seed,
            time_scale=time_scale,
            control=next((mark.kwargs.get("control", 0.0) for mark in found.get("cloudcart_load", ())), 0.0),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{name}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
    except UsageError as error:
        prefix = "" if str(error).startswith(name) else f"{name}: "
        raise UsageError(f"{prefix}{error}") from None


def _profile(mark: Mark, seed: int) -> LoadProfile:
    if len(mark.args) != 1:
        raise UsageError("cloudcart_load takes the journey's name first, as cloudcart_load('checkout', rate=40)")
    profile = {name: value for name, value in mark.kwargs.items() if name != "control"}  # that is the experiment's
    return LoadProfile(**{"journey": mark.args[0], "seed": seed, **profile})


def _scheduled(mark: Mark, of_the_shop: bool) -> ScheduledFault:
    if len(mark.args) != 1:
        raise UsageError("cloudcart_fault takes the kind first, as cloudcart_fault('latency', target='products', ..)")
    document = {"kind": mark.args[0], **mark.kwargs}
    timing = {key: document.pop(key) for key in ("start", "duration") if key in document}
    return ScheduledFault(
        fault=parse_fault(document) if of_the_shop else parse_fault(document, services=None), **timing
    )


def _objectives(found: Mapping[str, list[Mark]], marker: str) -> tuple[Objective, ...]:
    return tuple(Objective.parse(*mark.args, **mark.kwargs) for mark in found.get(marker, ()))


def list_scenarios(folder: Path | None = None) -> list[Path]:
    """Return the scenario files of ``folder``, or of the first place that has any (see :func:`find_scenario`)."""
    for place in [folder] if folder else _places():
        if files := sorted(place.glob("test_*.py")):
            return files
    return []


def find_scenario(name: str) -> Path:
    """Return the file of a scenario given by path (also of a document) or by name (with or without ``test_``).

    Names are looked for in ``./scenarios``, then among those that ship with the package.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    if (given := Path(name)).suffix in (".py", *SUFFIXES):
        if given.is_file():
            return given
        raise UsageError(f"there is no file {name}; 'cloudcart list' shows the scenarios there are")
    stem = "test_" + name.removeprefix("test_").replace("-", "_")
    for place in _places():
        if (file := place / f"{stem}.py").is_file():
            return file
    known = ", ".join(file.stem.removeprefix("test_") for file in list_scenarios()) or "none"
    raise UsageError(f"there is no scenario {name!r}; there are: {known}")


def _places() -> Iterator[Path]:
    yield Path.cwd() / "scenarios"
    yield _PACKAGE / "_shipped" / "scenarios"
    yield _PACKAGE.parent / "scenarios"  # a checkout installed in place


def load_scenario(path: Path, *, seed: int | None = None, settings: Mapping[str, str] | None = None) -> Experiment:
    """Return the experiment of a scenario file without running pytest, or of a document in YAML, TOML or JSON.

    Args:
        path: the file.
        seed: chooses which requests faults hit and what the load does; None: the document's, or 0.
        settings: settings given from outside, which win over the file's.

    Raises:
        UsageError: the file cannot be imported, has no test whose markers say it all, or is a document that makes no
            sense.
    """
    if path.suffix in SUFFIXES:
        return read_experiment(path, seed=seed, settings=settings)
    function = _scenario_function(path)
    marks = reversed(getattr(function, "pytestmark", []))  # decorators are applied from the bottom up
    claim = first_sentence(inspect.getdoc(function) or inspect.getdoc(inspect.getmodule(function)) or "")
    return experiment_from_markers(path.stem.removeprefix("test_"), claim, marks, seed=seed or 0, settings=settings)


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring on one line, without its full stop."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"\.(?:\s|$)", paragraph, maxsplit=1)[0]


def _scenario_function(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"cloudcart_scenario_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # inspect finds a function's module there
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name == "pytest":
            raise MissingExtraError("pytest", "load") from None
        raise UsageError(f"{path} cannot be imported: {error}") from error
    except Exception as error:
        raise UsageError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    for name, function in vars(module).items():
        if name.startswith("test_") and any(
            mark.name == "cloudcart_load" for mark in getattr(function, "pytestmark", [])
        ):
            return function
    raise UsageError(f"{path} has no test with a cloudcart_load marker; run it with pytest instead")
