"""Shipped journeys work with plain Locust, as their first line says, also with its own master and workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from cloudcart.load import find_journey


@pytest.mark.parametrize("name", ["admin", "browse", "checkout", "mixed", "register", "tracking"])
def test_plain_locust_runs_a_shipped_journey(shop, name):
    requests = run_until_seen(shop, name, "3")
    assert requests
    assert sum(entry["num_failures"] for entry in requests) == 0


def test_locusts_own_master_and_workers_run_a_shipped_journey(shop):
    run_until_seen(shop, "browse", "4", "--processes", "2")
    keys = [key for request in shop.seen() if (key := request.get("x-cloudcart-request-key"))]
    assert len(set(keys)) < len(keys)  # each worker numbers its visits from one


def run_until_seen(shop, name: str, users: str, *more: str) -> list[dict]:
    """Run plain Locust until it has sent some requests of the journey; return what it counted."""
    command = [sys.executable, "-m", "locust", "-f", str(find_journey(name)), "--host", shop.url, "--headless"]
    options = ["--users", users, "--spawn-rate", "10", "--run-time", "60s", "--json", "--stop-timeout", "2"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, *options, *more], env=environment, **pipes) as process:
        try:
            until = time.monotonic() + 60
            while len(shop.seen()) < 12:
                assert time.monotonic() < until, f"seen so far: {shop.seen()}"
                time.sleep(0.1)
            process.terminate()
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    return [entry for document in _documents(out) for entry in document]


def _documents(text: str):
    """Yield the JSON documents in what each process printed, the workers' empty ones, too."""
    while text := text.strip():
        document, end = json.JSONDecoder().raw_decode(text)
        yield document
        text = text[end:]
