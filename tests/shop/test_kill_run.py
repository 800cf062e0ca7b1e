"""Nothing is lost when processes are killed under load: ``benchmarks/kill_run.py`` with one seed, in its short form.

``CLOUDCART_KILL_SEEDS=1-5 pytest tests/shop/test_kill_run.py`` is the long one: a minute of load for each seed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_run.py"
SEEDS = os.environ.get("CLOUDCART_KILL_SEEDS")


def test_whatever_is_killed_nothing_is_lost_or_doubled():
    options = ["--seeds", SEEDS] if SEEDS else ["--quick"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *options, "--json"], capture_output=True, text=True, timeout=3600 if SEEDS else 600
    )
    assert done.stdout, done.stderr
    results = json.loads(done.stdout)["results"]
    assert [wrong for found in results for wrong in found["wrong"]] == []
    assert done.returncode == 0
    for found in results:
        assert found["acknowledged"] == found["checkouts"] > 0
        assert found["events"] == found["handled"] > found["paid"] > 0
        assert sum(found["blows"].values()) >= 9
