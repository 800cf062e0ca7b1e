"""A run that is killed half-way, by SIGKILL: of what it had started, nothing is there a few seconds later."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

SCENARIO = '''
"""A scenario that is still going on when it is killed."""
import pytest

@pytest.mark.cloudcart_load("browse", rate=10, duration="60s", warmup="500ms")
@pytest.mark.cloudcart_fault("latency", target="products", fixed="5ms", start="1s", duration="50s")
def test_long(cloudcart_run):
    """It never comes to that."""
    assert cloudcart_run.passed
'''
PROMISED = 5.0  # seconds


@pytest.mark.parametrize(
    "command", [("cloudcart.cli", "run"), ("pytest", "-p", "no:cacheprovider", "--import-mode=importlib")], ids=str
)
def test_nothing_is_left_of_a_killed_run(cloudcart, tmp_path, command):
    scenario = tmp_path / "test_long.py"
    scenario.write_text(SCENARIO)
    temporary = cloudcart.state / f"tmp-{command[0]}"
    temporary.mkdir(mode=0o711)
    module, *arguments = command
    report = "--report-dir" if module == "cloudcart.cli" else "--cloudcart-report-dir"
    arguments += [str(scenario), report, str(tmp_path / "runs")]
    with cloudcart.begun(*arguments, module=module, TMPDIR=str(temporary)) as process:
        cloudcart.wait_until(lambda: rows_of(tmp_path / "runs") > 100, "load flows")
        started = [each for each in cloudcart.processes if each.pid != process.pid]
        listening = {
            each.laddr.port for child in started for each in child.net_connections() if each.status == "LISTEN"
        }
        assert len(started) > 8
        assert len(listening) > 5
        process.send_signal(signal.SIGKILL)
        process.wait()
    cloudcart.wait_until(lambda: cloudcart.nothing_left, "everything has ended", PROMISED)
    assert not listening & {each.laddr.port for each in psutil.net_connections("tcp") if each.status == "LISTEN"}
    assert [path.name for path in temporary.glob("*") if not path.name.startswith("pytest-of-")] == []


def rows_of(runs: Path) -> int:
    """Return how many requests have been answered in the one run of a folder."""
    return sum(path.read_bytes().count(b"\n") for path in runs.glob("*/requests.tsv"))
