"""One service alone, as its container runs it: which, where, with which settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import httpx
import pytest

from cloudcart.exceptions import UsageError
from cloudcart.lab import ports
from cloudcart.services.__main__ import LISTEN, SETTINGS_FILE, address_of, read_settings, service_named


def test_the_command_picks_the_service():
    assert service_named(["orders"]) == "orders"
    for words in ([], ["basket"], ["orders", "users"]):
        with pytest.raises(UsageError, match="give one service of gateway, users"):
            service_named(words)


def test_it_listens_everywhere_at_its_port_unless_told_otherwise(monkeypatch):
    assert address_of("orders") == ("0.0.0.0", 8003)
    monkeypatch.setenv(LISTEN, "127.0.0.1:9000")
    assert address_of("orders") == ("127.0.0.1", 9000)


def test_settings_come_from_the_environment_or_from_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv("CLOUDCART_GATEWAY__RETRIES", "off")
    assert not read_settings().gateway.retries
    document = tmp_path / "settings.json"
    document.write_text(json.dumps({"lab": True, "gateway": {"retry_attempts": 7}}))
    monkeypatch.setenv(SETTINGS_FILE, str(document))
    assert (read_settings().lab, read_settings().gateway.retry_attempts) == (True, 7)


def test_it_serves_until_it_is_asked_to_end():
    with ports.hold(for_others=True) as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        service = subprocess.Popen(
            [sys.executable, "-m", "cloudcart.services", "chaos"],
            env={**os.environ, LISTEN: url.removeprefix("http://"), "CLOUDCART_LAB": "true"},
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 60
            while not _is_alive(url):
                assert time.monotonic() < deadline, "the service does not answer"
                assert service.poll() is None
                time.sleep(0.02)
            service.send_signal(signal.SIGTERM)
            assert service.wait(30) in (0, -signal.SIGTERM)
        finally:
            service.kill()
            service.wait()


def _is_alive(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    return False
