"""A service of a benchmark in a process of its own, so that it shares no processor time with what is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(program: str) -> Iterator[str]:
    """Run ``program``, a file beside this one, and give the URL that it prints; it ends when its input is closed."""
    command = [sys.executable, str(Path(__file__).parent / program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
