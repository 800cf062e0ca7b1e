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


def _messages() -> list[str]:
    return re.findall(r"^\*\*`(.+)`\*\*$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def sources():
    """All code as one text, in which strings that go on in the next line are one."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "cloudcart").rglob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", text)


@pytest.mark.parametrize("message", _messages())
def test_messages_are_what_the_code_says(message, sources):
    parts = [part for part in message.split("…") if len(part.strip()) > 3]
    assert parts
    assert [part for part in parts if part.strip(" …:,;") not in sources] == []


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    patterns = re.findall(r"^([\w/*-]+)$", index, re.MULTILINE)
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    assert [str(page) for page in pages if str(page) != "index" and not any(map(page.match, patterns))] == []
