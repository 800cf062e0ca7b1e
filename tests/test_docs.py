"""What the documentation names exists: files in walks, links, commands, options."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cloudcart.cli.program import program

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
PATHS = re.compile(r"`((?:cloudcart|scenarios|loadtests|docs|tests|benchmarks|infra|dashboards|notebooks)/[\w./-]+)`")
LINKS = re.compile(r"\]\((?!https?:)([^)#]+)\)")
COMMANDS = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?cloudcart ([a-z-]+)(.*)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_links_exist(page):
    text = page.read_text()
    named = [ROOT / path for path in PATHS.findall(text)] + [page.parent / link for link in LINKS.findall(text)]
    assert [str(path) for path in named if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page):
    with click.Context(program) as context:
        for name, rest in COMMANDS.findall(page.read_text()):
            command = program.get_command(context, name)
            assert command is not None, f"{page.name}: cloudcart {name}"
            known = {option for parameter in command.params for option in parameter.opts}
            unknown = set(re.findall(r"(?<= )--[a-z-]+", rest)) - known
            assert not unknown, f"{page.name}: cloudcart {name} {unknown}"


def test_the_three_walks_are_there():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for walk in ("A request", "A fault", "A reading"):
        steps = text.split(f"**{walk}**")[1].split("\n\n")[1]
        assert len(PATHS.findall(steps)) >= 5
