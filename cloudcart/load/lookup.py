"""Finds journeys: the files in ``loadtests/``, by name or by path. Imports none of them (that needs Locust)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cloudcart.exceptions import UsageError

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def find_journey(name_or_path: str) -> Path:
    """Return the file of a journey.

    A path (it ends in ``.py``) is taken as it is. A name is looked for in ``./loadtests``, then among the journeys that
    ship with the package.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    given = Path(name_or_path)
    if given.suffix == ".py":
        if given.is_file():
            return given.resolve()
        raise UsageError(f"there is no journey file {name_or_path}; known by name are: {_known()}")
    for folder in _places():
        if given.name == name_or_path and (file := folder / f"{name_or_path}.py").is_file():
            return file.resolve()
    raise UsageError(f"there is no journey {name_or_path!r}; there are: {_known()}, or give the path of a .py file")


def list_journeys() -> list[str]:
    """Return the names that :func:`find_journey` knows, sorted."""
    return sorted({file.stem for folder in _places() for file in folder.glob("[!_]*.py")})


def _known() -> str:
    return ", ".join(list_journeys()) or "none"


def _places() -> Iterator[Path]:
    yield Path.cwd() / "loadtests"
    yield _PACKAGE / "_shipped" / "loadtests"
    if (_PACKAGE.parent / "pyproject.toml").is_file():  # a checkout installed in place
        yield _PACKAGE.parent / "loadtests"
