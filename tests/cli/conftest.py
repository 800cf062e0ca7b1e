"""Fixtures of the command line's tests: an environment in which a package is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def environment_without(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Return a function that gives the environment of a process which cannot import a package, nor can its children."""

    def environment(package: str) -> dict[str, str]:
        (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
        return {**os.environ, "PYTHONPATH": str(tmp_path)}

    return environment
