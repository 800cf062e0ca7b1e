"""``cloudcart up --backend containers`` where it cannot be: one sentence that says what to do, and exit code 4."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

ANSWERS = {
    "/version": {"ApiVersion": "1.41", "MinAPIVersion": "1.12"},
    "/info": {"SecurityOptions": [], "OperatingSystem": "Debian GNU/Linux 12 (bookworm)"},
    "/containers/json": [],
    "/images/json": [{"Id": "sha256:1", "RepoTags": ["redis:7", "cloudcart:latest"]}],
}


class EngineWithoutImages(BaseHTTPRequestHandler):
    """The part of an engine's API that is asked before anything is started; it has no images and no registry."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/v1.41")
        self._answer(200 if path in ANSWERS else 404, ANSWERS.get(path, {"message": f"No such image: {path}"}))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self._answer(500, {"message": "dial tcp: lookup registry-1.docker.io: no such host"})

    def _answer(self, status: int, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        return "a Unix socket"

    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves it."""

    daemon_threads = True


@pytest.fixture
def engine(short_directory: Path) -> Iterator[str]:
    """An engine that has no images, as DOCKER_HOST names it."""
    path = short_directory / "docker.sock"
    with Server(str(path), EngineWithoutImages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join()
    path.unlink()


def refusal(cloudcart, **environment: str) -> str:
    """Return the one line that an attempt ends with."""
    done = cloudcart("up", "--backend", "containers", "--free-ports", **environment)
    assert done.returncode == 4
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line for line in lines if "Traceback" in line or line.startswith(" ")] == []
    assert lines[-1].startswith("Error: ")
    cloudcart.wait_until_nothing_is_left()
    return lines[-1]


@pytest.mark.parametrize("path", [os.environ["PATH"], "/nowhere"], ids=["docker stopped", "no docker program"])
def test_without_an_engine(cloudcart, path):
    said = refusal(cloudcart, DOCKER_HOST="unix:///nowhere/docker.sock", PATH=path)
    assert said == (
        "Error: no Docker engine answers at unix:///nowhere/docker.sock; install one and start it "
        "(Debian: sudo apt-get install docker.io), or name it with DOCKER_HOST"
    )


def test_without_testcontainers(cloudcart, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'testcontainers' else find(name, *rest)\n"
    )
    said = refusal(cloudcart, PYTHONPATH=str(tmp_path))
    assert said == "Error: testcontainers is not installed; run: pip install 'cloudcart[containers]'"


def test_without_an_image(cloudcart, engine):
    said = refusal(cloudcart, DOCKER_HOST=engine)
    assert said.startswith("Error: the image postgres:17 is not here and cannot be pulled (dial tcp: lookup registry-1")
    assert said.endswith(
        "build it with infra/images/build.sh of the sources, or name another one with --set containers.postgres=.."
    )


def test_doctor_says_which_images_are_missing(cloudcart, engine):
    found = {
        check["name"]: check for check in json.loads(cloudcart("doctor", "--json", DOCKER_HOST=engine).stdout)["checks"]
    }
    assert found["Docker engine"]["state"] == "ok"
    assert found["image postgres"]["fix"] == "docker pull postgres:17, or infra/images/build.sh"
    assert not {"image redis", "image shop"} & found.keys()


def test_doctor_says_how_to_get_an_engine(cloudcart):
    document = json.loads(cloudcart("doctor", "--json", DOCKER_HOST="unix:///nowhere/docker.sock").stdout)
    [engine] = [check for check in document["checks"] if check["name"] == "Docker engine"]
    assert (engine["state"], document["ok"]) == ("absent", True)
    assert engine["fix"].startswith("install one and start it (Debian: sudo apt-get install docker.io)")
