"""What the documentation tells a reader to type works, in the order of each page, as a reader would do it.

Not collected by default, since it takes two minutes: ``nox -s docs`` runs it. A page gets an empty folder. In it

- a ``console`` block is typed: each line after ``$``; lines below it must be printed (``…`` stands for anything);
- a block whose first line is a comment with a file's name (``# test_orders.py``) becomes that file;
- any other ``python`` block is executed.

A comment before a block says what is special: ``<!-- exit code 1 -->``, ``<!-- not run: why -->``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / "docs" / f"{name}.md" for name in ("tour", "first-scenario", "analysis")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*) -->\n+)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
FILE_NAME = re.compile(r"# ([\w./-]+\.\w+)\n")
EXIT_CODE = re.compile(r"exit code (\d+)")
LONGEST = 120.0
"""Seconds that one command may take."""


class Step(NamedTuple):
    """A command, what it must print, and how it must end; or a file to write."""

    command: list[str]
    expected: list[str]
    exit_code: int
    line: int


def steps(page: Path, folder: Path) -> Iterator[Step]:
    """Yield what a reader does, and write the files that the page shows when the reader comes to them."""
    text = page.read_text()
    for block in BLOCK.finditer(text):
        note, body = block["note"] or "", block["text"]
        line = text.count("\n", 0, block.start("text")) + 1
        code = EXIT_CODE.match(note)
        if note.startswith("not run:"):
            continue
        if name := FILE_NAME.match(body):
            target = folder / name[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(body)
        elif block["language"] == "console":
            yield from typed(body, int(code[1]) if code else 0, line)
        elif block["language"] == "python":
            yield Step([sys.executable, "-W", "error", "-c", body], [], 0, line)


def typed(body: str, exit_code: int, line: int) -> Iterator[Step]:
    """Yield the commands of a console block, each with the output below it; the exit code is the last one's."""
    parts = re.split(r"^\$ ", body.replace("\\\n", ""), flags=re.MULTILINE)[1:]
    for number, part in enumerate(parts, 1):
        command, *expected = part.rstrip("\n").split("\n")
        yield Step(["bash", "-c", command], expected, exit_code if number == len(parts) else 0, line)


def is_printed(expected: list[str], printed: str) -> bool:
    """Say whether the lines are printed in this order; ``…`` stands for anything, also for lines."""
    lines = [".*".join(map(re.escape, line.split("…"))) for line in expected if line.strip()]
    return re.search(r"\s*\n(?:.*\n)*?\s*".join(lines), printed) is not None


@pytest.fixture
def reader(tmp_path):
    """A reader with a folder, a state of their own, and this Python's programs; labs that they leave up end."""
    state = tempfile.mkdtemp(prefix="cc-")  # short, since sockets' paths are
    Path(state).chmod(0o711)  # PostgreSQL runs as nobody where this runs as root
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CLOUDCART_STATE_DIR": state,
        "COLUMNS": "120",
        "MPLBACKEND": "agg",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "notebooks").symlink_to(ROOT / "notebooks")  # recorded runs, as in a clone

    def follow(page):
        for step in steps(page, folder):
            done = subprocess.run(
                step.command,
                cwd=folder,
                env=environment,
                text=True,
                timeout=LONGEST,
                check=False,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            said = f"{page.name}, line {step.line}: {step.command[-1]}\n{done.stdout}"
            assert done.returncode == step.exit_code, said
            assert is_printed(step.expected, done.stdout), said

    try:
        yield follow
    finally:
        end_all = ["cloudcart", "down", "--all"]
        subprocess.run(end_all, env=environment, check=True, capture_output=True, timeout=LONGEST)
        shutil.rmtree(state)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_works(page, reader):
    reader(page)


def test_the_readme_shows_the_scenario_of_the_tour():
    """So that it is run, too."""
    scenario = re.compile(r"```python\n(?:# [\w.]+\n)?(.*?)```", re.DOTALL)
    readme, tour = ((ROOT / name).read_text() for name in ("README.md", "docs/tour.md"))
    assert scenario.search(readme)[1].strip() == scenario.search(tour)[1].strip()
