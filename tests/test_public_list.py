"""The public list is what can be imported, and importing the package is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cloudcart

HEAVY = ("fastapi", "starlette", "sqlalchemy", "locust", "gevent", "testcontainers", "docker", "pyarrow", "faststream")


def _imported_for_type_checkers() -> set[str]:
    tree = ast.parse(Path(cloudcart.__file__).read_text())
    guard = next(node for node in tree.body if isinstance(node, ast.If))
    return {alias.asname for node in guard.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_what_type_checkers_see_is_what_is_exported():
    assert _imported_for_type_checkers() == set(cloudcart.__all__)


@pytest.mark.parametrize("name", cloudcart.__all__)
def test_each_public_name_exists_and_says_what_it_is(name):
    value = getattr(cloudcart, name)
    assert value is not None
    if callable(value):
        assert value.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'shop'"):
        _ = cloudcart.shop


@pytest.mark.parametrize("module", ["cloudcart", "cloudcart.cli", "cloudcart.pytest_plugin.plugin", "cloudcart.faults"])
def test_importing_pulls_in_nothing_heavy(module):
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
