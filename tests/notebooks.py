"""The notebooks run on the recorded runs, and say what their stored outputs say.

Not collected by default, since Jupyter is not among what tests need: ``nox -s notebooks`` runs it. After a change or a
new recording ``nox -s notebooks -- --save`` stores the outputs anew. Figures are compared, their formatting is not.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NUMBERS = re.compile(r"\d+(?:\.\d+)?")


def execute(path: Path) -> nbformat.NotebookNode:
    """Return the notebook with fresh outputs."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FOLDER)}}, record_timing=False).execute()
    return notebook


def said(cell: nbformat.NotebookNode) -> list[str]:
    """Return every number in a cell's text outputs."""
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", ())]
    return NUMBERS.findall("\n".join(text for text in texts if "<" not in text[:1]))


def test_all_five_are_there():
    assert len(NOTEBOOKS) == 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_what_it_said(path):
    stored, fresh = nbformat.read(path, as_version=4), execute(path)
    for number, (before, now) in enumerate(zip(stored.cells, fresh.cells, strict=True)):
        assert said(before) == said(now), f"cell {number} changed; look at it, then: nox -s notebooks -- --save"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stored_whole_and_small(path):
    cells = nbformat.read(path, as_version=4).cells
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code")
    assert path.stat().st_size < 500_000


if __name__ == "__main__":
    for notebook in NOTEBOOKS:
        nbformat.write(execute(notebook), notebook)
        sys.stdout.write(f"{notebook.name} stored\n")
