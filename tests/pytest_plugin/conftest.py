"""A lab for all tests of this folder, and pytest runs of small files on it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

import cloudcart

QUIET = ("-p", "no:cacheprovider", "-p", "no:schemathesis")  # which takes as long to import as all the others


@pytest.fixture
def run_pytest(pytester) -> Callable[..., pytest.RunResult]:
    """Run one small test file by a pytest of its own."""

    def run(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_example=source)
        return pytester.runpytest_subprocess(*QUIET, *arguments)

    return run


@pytest.fixture(scope="session")
def running_lab() -> Iterator[str]:
    """The name of a lab that is up, for ``--cloudcart-reuse``."""
    settings = {"gateway.rate_limit": "off", "gateway.retries": "off", "gateway.cache": "off"}
    with cloudcart.start(overrides=settings, name=f"plugin-{secrets.token_hex(3)}", prometheus=False) as lab:
        yield lab.name


@pytest.fixture
def on_lab(run_pytest, running_lab) -> Callable[..., pytest.RunResult]:
    """Run one small test file on the lab that is up."""
    return lambda source, *arguments: run_pytest(source, "--cloudcart-reuse", running_lab, *arguments)
