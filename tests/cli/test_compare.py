"""``cloudcart report A B`` on recorded runs: what differs, for people and for machines."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from cloudcart.cli.program import program
from cloudcart.signals import Reading, Window


def record(folder: Path, p95: float, *, seed: int, verdict: str = "pass") -> Path:
    folder.mkdir()
    window = Window(0.0, 10.0, "fault")
    readings = [
        Reading("p95", p95, "s", 500, p95 * 0.95, p95 * 1.05, window, "client", "gateway").document(),
        Reading("p95", p95 / 2, "s", 500, p95 * 0.49, p95 * 0.51, window, "scrape", "orders").document(),
    ]
    run = {"schema_version": 1, "name": "claim", "verdict": verdict, "seed": seed, "readings": readings}
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def test_two_runs_are_compared_for_people(tmp_path):
    folders = record(tmp_path / "a", 0.1, seed=1), record(tmp_path / "b", 0.2, seed=2, verdict="fail")
    answer = CliRunner().invoke(program, ["report", *map(str, folders)])
    assert answer.exit_code == 0
    lines = [" ".join(line.split()) for line in answer.stdout.splitlines()]
    assert "fault p95 100 ms 200 ms 100 ms (88.8 ms to 111 ms) worse" in lines
    assert any(line.startswith("fault orders p95 50 ms 100 ms") for line in lines)
    assert "the run pass fail" in lines
    assert "seed 1 2" in lines


def test_two_runs_are_compared_for_machines(tmp_path):
    folders = record(tmp_path / "a", 0.1, seed=1), record(tmp_path / "b", 0.1, seed=1)
    answer = CliRunner().invoke(program, ["report", *map(str, folders), "--json"])
    found = json.loads(answer.stdout)
    assert [one["word"] for one in found["differences"]] == ["no difference shown"] * 2
    assert found["changes"] == []


def test_three_runs_are_one_too_many(tmp_path):
    folder = str(record(tmp_path / "a", 0.1, seed=1))
    answer = CliRunner().invoke(program, ["report", folder, folder, folder])
    assert answer.exit_code == 2
    assert "two to compare, not 3" in answer.stderr
