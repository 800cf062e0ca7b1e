"""Each folder imports only from those above it in this list; the list doubles as a map of the package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cloudcart"

LAYERS = {
    # vocabulary
    "exceptions": set(),
    "units": {"exceptions"},
    "documents": {"exceptions"},
    "settings": {"exceptions", "units"},
    "events": {"exceptions"},
    "asyncapi": {"events"},
    "faults": {"exceptions", "units", "settings"},
    "telemetry": {"exceptions", "settings"},
    # how a fault reaches traffic
    "chaos": {"exceptions", "units", "settings", "events", "faults", "telemetry"},
    "hooks": {"exceptions", "units", "settings", "faults", "telemetry", "chaos"},
    # the shop
    "stores": {"exceptions", "settings", "events", "telemetry", "chaos"},
    "services": {"exceptions", "units", "settings", "events", "telemetry", "faults", "chaos", "stores"},
    # the lab: what do users do, was it all right, where does it run
    "signals": {"exceptions", "units"},
    "load": {"exceptions", "units"},
    "lab": {
        "exceptions",
        "units",
        "settings",
        "events",
        "faults",
        "telemetry",
        "chaos",
        "stores",
        "services",
        "signals",
    },
    # one function brings them together
    "report": {"exceptions", "units", "signals"},
    "analysis": {"exceptions", "signals"},
    "plots": {"exceptions", "analysis", "report", "signals"},
    "experiment": {
        "exceptions",
        "units",
        "documents",
        "settings",
        "events",
        "faults",
        "load",
        "signals",
        "lab",
        "report",
        "analysis",
    },
    # how people reach it
    "pytest_plugin": {
        "exceptions",
        "units",
        "settings",
        "events",
        "faults",
        "chaos",
        "load",
        "signals",
        "lab",
        "experiment",
        "report",
    },
    "cli": {
        "exceptions",
        "documents",
        "units",
        "settings",
        "faults",
        "chaos",
        "stores",
        "services",
        "load",
        "signals",
        "lab",
        "experiment",
        "report",
        "analysis",
    },
    "__init__": {
        "analysis",
        "chaos",
        "events",
        "exceptions",
        "experiment",
        "faults",
        "hooks",
        "lab",
        "load",
        "plots",
        "services",
        "settings",
        "signals",
    },
}


def _imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("cloudcart"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("cloudcart.")}
    return found - {"__version__"}


def test_every_folder_is_on_the_map():
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert found == set(LAYERS)


def test_the_map_has_no_circle():
    above: set[str] = set()
    for layer, allowed in LAYERS.items():
        assert allowed <= above, f"{layer} imports from {allowed - above}, which come below it"
        above.add(layer)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_upwards_only(layer):
    place = PACKAGE / layer
    files = place.rglob("*.py") if place.is_dir() else [PACKAGE / f"{layer}.py"]
    wrong = {
        file.relative_to(PACKAGE).as_posix(): extra
        for file in files
        if (extra := _imports(file) - LAYERS[layer] - {layer})
    }
    assert not wrong
