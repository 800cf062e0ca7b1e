"""The page on testing one's own service: its files, taken from it as they stand, are run by a pytest of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cloudcart.exceptions import UsageError
from cloudcart.signals.conventions import CONVENTIONS, metric_names

PAGE = Path(__file__).parent.parent / "docs" / "your-own-service.md"
BLOCK = re.compile(r"^```python\n# ([\w.]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_s_files_run_as_they_stand(tmp_path):
    files = dict(BLOCK.findall(PAGE.read_text()))
    assert set(files) == {"app.py", "journey.py", "conftest.py", "test_things.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "."]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CLOUDCART_", "PYTEST_"))}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    report = next(tmp_path.glob("cloudcart-runs/*/report.html"), None)
    assert report is not None, done.stdout[-3000:] + done.stderr[-2000:]
    inconclusive = "INCONCLUSIVE" in done.stdout  # on a busy machine nothing can be concluded
    assert "1 passed" in done.stdout if inconclusive else "2 passed" in done.stdout, done.stdout[-4000:]


def test_conventions_are_chosen_by_name():
    assert metric_names("starlette-exporter").status == "status_code"
    with pytest.raises(UsageError, match="choose from cloudcart, prometheus-client"):
        metric_names("statsd")
    assert set(CONVENTIONS) >= {"prometheus-client", "prometheus-fastapi-instrumentator", "starlette-exporter"}
