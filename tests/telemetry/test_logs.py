from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from cloudcart.telemetry.logs import AccessLog

PROGRAM = """
import logging
from cloudcart.telemetry.logs import configure_logging
configure_logging("orders", "info")
logging.getLogger("a").info("hello %s", "there", extra={"route": "/orders"})
logging.getLogger("a").debug("too little to be said")
try:
    password = "hunter2"
    raise ValueError("why")
except ValueError:
    logging.getLogger("a").exception("it failed")
import structlog
structlog.get_logger().warning("mind", step=3)
"""


def test_every_logger_writes_json_lines_without_local_variables() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    said, failed, mind = map(json.loads, done.stderr.splitlines())
    assert (said["message"], said["level"], said["service"], said["route"]) == (
        "hello there",
        "info",
        "orders",
        "/orders",
    )
    assert "ValueError: why" in failed["exception"]
    assert "hunter2" not in done.stderr.replace('password = "hunter2"', "")
    assert (mind["message"], mind["step"], mind["service"]) == ("mind", 3, "orders")


@pytest.mark.parametrize("path", ["/orders/7", '/a"b', "/a\\b", "/caf\xe9/\u2028", "/a\nb"])
def test_an_access_line_is_json_whatever_the_path(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        log = AccessLog("orders")
        log.write("GET", path, "/orders/{id}", 200, 0.01234, "ab" * 16)
        log.flush()

    asyncio.run(run())
    line = json.loads(capsys.readouterr().err)
    assert (line["path"], line["route"], line["status"], line["ms"]) == (path, "/orders/{id}", 200, 12.34)
    assert line["timestamp"].endswith("Z")


def test_access_lines_are_written_soon_without_being_asked(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> str:
        log = AccessLog("orders")
        for _ in range(3):
            log.write("GET", "/", "/", 200, 0.0, "")
        written = ""
        async with asyncio.timeout(10):
            while not written:
                await asyncio.sleep(0.01)
                written = capsys.readouterr().err
        return written

    assert asyncio.run(run()).count("\n") == 3


def test_many_lines_do_not_wait(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        log = AccessLog("orders")
        for _ in range(640):
            log.write("GET", "/", "/", 200, 0.0, "")

    asyncio.run(run())
    assert capsys.readouterr().err.count("\n") == 640
