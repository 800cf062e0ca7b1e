"""Every shipped journey works with plain Locust, as its first line says."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from cloudcart.load import find_journey


@pytest.mark.parametrize("name", ["browse", "checkout"])
def test_plain_locust_runs_a_shipped_journey(shop, name):
    command = [sys.executable, "-m", "locust", "-f", str(find_journey(name)), "--host", shop.url, "--headless"]
    options = ["--users", "2", "--spawn-rate", "10", "--run-time", "2s", "--json", "--stop-timeout", "2"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=30, env=environment)
    assert done.returncode == 0, done.stderr
    requests = json.loads(done.stdout)
    assert {entry["name"] for entry in requests} >= {"/api/products", "/api/products/{id}"}
    assert sum(entry["num_requests"] for entry in requests) >= 6
    assert sum(entry["num_failures"] for entry in requests) == 0
