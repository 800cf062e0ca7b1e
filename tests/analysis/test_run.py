"""A run's folder as values and data frames."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from cloudcart import Run
from cloudcart.exceptions import UsageError


def test_a_run_is_loaded_by_its_folder_or_its_record(recorded):
    run = recorded()
    assert run.passed
    assert run.name == "orders_with_retries"
    assert Run.load(run.directory / "run.json").record == run.record
    assert "PASS" in run.explain()


@pytest.mark.parametrize("table", ["requests", "signals", "events", "phases", "faults", "verdicts"])
def test_pandas_polars_and_arrow_agree(recorded, table):
    found = getattr(recorded(), table)
    assert len(found) > 0
    assert list(found.to_pandas().columns) == found.to_polars().columns == found.columns
    assert len(found.to_pandas()) == len(found.to_polars()) == found.to_arrow().num_rows == len(found)


def test_requests_say_what_the_verdict_says(recorded):
    run = recorded("orders_without_retries")
    requests = run.requests.to_pandas()
    broken = requests[requests.phase == "fault"]
    objective = next(it for it in run.record["objectives"] if it["objective"] == "errors < 2%")
    assert len(broken) == objective["samples"]
    assert broken.failed.mean() == pytest.approx(objective["reading"])


def test_times_count_from_the_start_of_load(recorded):
    run = recorded()
    phases, faults = run.phases.to_pandas(), run.faults.to_pandas()
    assert phases.name.tolist() == ["warmup", "steady", "fault", "recovery"]
    assert phases.start[0] == 0
    assert faults.start.between(phases.start[2] - 0.2, phases.end[2]).all()
    for table in (run.requests, run.signals, run.events):
        seconds = table.to_pandas().set_index("phase").second
        assert seconds["fault"].between(phases.start[2], phases.end[2]).all()


def test_tables_are_read_when_they_are_asked_for(recorded, tmp_path):
    shutil.copy(recorded().directory / "run.json", tmp_path)
    run = Run.load(tmp_path)
    assert len(run.verdicts) == 7
    with pytest.raises(UsageError, match=r"has no requests\.parquet: the run did not get that far"):
        run.requests.to_pandas()


def test_a_run_that_did_not_finish_has_no_phases(recorded, tmp_path):
    record = {**recorded().record, "phases": [], "faults": [], "objectives": [], "invariants": []}
    shutil.copytree(recorded().directory, tmp_path, dirs_exist_ok=True)
    (tmp_path / "run.json").write_text(json.dumps(record))
    run = Run.load(tmp_path)
    assert run.phases.to_pandas().empty
    assert run.requests.to_pandas().phase.isna().all()
    assert run.verdicts.columns[:3] == ["kind", "name", "verdict"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "has no run.json, so it is not a run"),
        ("{", "cannot be read"),
        ("[]", "is not a run's record"),
        ('{"schema_version": 99, "verdict": "pass", "directory": "."}', "has schema version 99"),
    ],
)
def test_what_is_no_run_is_refused_in_a_sentence(tmp_path, text, sentence):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        Run.load(tmp_path)


def test_loading_a_run_needs_neither_data_frames_nor_a_lab(recorded):
    code = (
        "import sys, cloudcart; from cloudcart import plots; "
        f"print(cloudcart.Run.load({str(recorded().directory)!r}).verdict, "
        "{'pandas', 'polars', 'matplotlib', 'pyarrow', 'cloudcart.lab'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["pass", "set()\n"]
