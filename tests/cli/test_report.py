"""``cloudcart report``: what it refuses; the report itself is tested where it is made."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cloudcart.cli.program import program


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "has no run.json"),
        ("{", "cannot be read"),
        ("[]", "is not a run's record"),
        ("{}", "is not a run's record"),
    ],
)
def test_what_is_no_run_is_a_usage_error(tmp_path, text, sentence):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    answer = CliRunner().invoke(program, ["report", str(tmp_path)])
    assert answer.exit_code == 2
    assert sentence in answer.stderr
    assert answer.stdout == ""


def test_a_folder_that_is_not_there(tmp_path):
    answer = CliRunner().invoke(program, ["report", str(tmp_path / "gone")])
    assert answer.exit_code == 2
    assert "has no run.json" in answer.stderr
