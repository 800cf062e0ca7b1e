"""``cloudcart load`` and ``shrink`` on a lab that is up, as processes; what they refuse."""

from __future__ import annotations

import json

import pytest
from pyarrow import parquet

SCENARIO = '''
"""Slow products."""
import pytest

@pytest.mark.cloudcart_load("browse", rate=15, duration="4s", warmup="500ms")
@pytest.mark.cloudcart_fault("latency", target="products", fixed="800ms", start="1s", duration="2s")
@pytest.mark.cloudcart_slo("p50 < 300ms", phase="fault")
def test_slow(cloudcart_run):
    """Nobody waits."""
'''


@pytest.fixture(scope="module", autouse=True)
def lab(cloudcart):
    settings = ("gateway.rate_limit=off", "gateway.cache=off")
    options = [word for setting in settings for word in ("--set", setting)]
    yield cloudcart.json("up", "--detach", "--free-ports", "--name", "loads", *options)
    cloudcart("down", "--name", "loads")


@pytest.mark.parametrize(
    "how",
    [
        ("browse", "--rate", "20", "--duration", "2s"),
        ("tracking", "--users", "4", "--duration", "2s"),
        ("admin", "--stage", "1s:5", "--stage", "1s:10"),
        ("register", "--rate", "4", "--duration", "2s", "--workers", "2"),
    ],
)
def test_every_kind_of_load_is_given_and_shown(cloudcart, tmp_path, how):
    done = cloudcart("load", *how, "--name", "loads", "--json", "--report-dir", str(tmp_path))
    assert done.returncode in (0, 3), done.stderr  # 3: this machine was too busy for the generator
    found = json.loads(done.stdout)
    assert parquet.read_table(found["requests"]).num_rows == found["generator"]["requests"] > 5
    assert {"traffic", "errors", "p99"} <= found["readings"].keys()
    assert found["generator"]["doubts"] == []


def test_people_see_both_ways_of_counting(cloudcart, tmp_path):
    done = cloudcart("load", "checkout", "--rate", "5", "--duration", "2s", "--name", "loads", cwd=tmp_path)
    assert "from when due" in done.stdout
    assert "from when sent" in done.stdout
    assert list(tmp_path.glob("cloudcart-runs/load-checkout-*/requests.parquet"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("browse",), "say exactly one of rate="),
        (("browse", "--stage", "5"), "DURATION:RATE"),
        (("nothing", "--rate", "5"), "there is no journey 'nothing'"),
        (("browse", "--users", "1", "--workers", "2"), "cannot be shared by 2 workers"),
    ],
)
def test_load_that_makes_no_sense_is_refused(cloudcart, words, sentence):
    done = cloudcart("load", *words, "--name", "loads")
    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_fault_is_shrunk_to_what_still_breaks_the_claim(cloudcart, tmp_path):
    scenario = tmp_path / "test_slow.py"
    scenario.write_text(SCENARIO)
    done = cloudcart(
        "shrink", str(scenario), "--steps", "1", "--least", "0.05", "--name", "loads", "--json", cwd=tmp_path
    )
    found = json.loads(done.stdout)
    if done.returncode == 3:  # this machine was too busy for a verdict, so nothing was seen to break
        assert [trial["verdict"] for trial in found["trials"]] == ["inconclusive"]
    else:
        assert done.returncode == 0, done.stderr
        assert len(found["trials"]) == 2
        assert 0.2 < found["breaks"]["factor"] <= 1  # 300 ms of 800 ms is 0.375
    assert "latency on products fixed=" in done.stderr
