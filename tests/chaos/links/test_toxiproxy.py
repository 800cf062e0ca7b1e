"""Toxiproxy's API: by a client written for Toxiproxy, unchanged, where it is installed; and by plain HTTP."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest


class Api:
    """A running ``cloudcart proxy`` and an echo server to put behind it."""

    def __init__(self, control: str, upstream: str) -> None:
        self.control, self.upstream = control, upstream

    def call(self, method: str, path: str, document: object = None) -> tuple[int, object]:
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://{self.control}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                content, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            with error:
                content, status = error.read(), error.code
        return status, json.loads(content) if content else None


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def ask(address: str, data: bytes = b"ping") -> float:
    """Send and wait for the echo; an empty answer raises."""
    with connect(address) as caller:
        begun, got = time.monotonic(), b""
        caller.sendall(data)
        while len(got) < len(data):
            if not (part := caller.recv(65536)):
                raise ConnectionError(f"closed after {len(got)} bytes")
            got += part
        assert got == data
        return time.monotonic() - begun


def _echo(listener: socket.socket) -> None:
    def serve(caller: socket.socket) -> None:
        with caller:
            try:
                while data := caller.recv(65536):
                    caller.sendall(data)
            except OSError:
                pass

    while True:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(caller,), daemon=True).start()


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    command = [sys.executable, "-m", "cloudcart.cli", "proxy", "--control", "127.0.0.1:0"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
            try:
                said = running.stderr.readline()
                found = re.search(r"http://(\S+)", said)
                assert found, said + running.stderr.read()
                yield Api(found[1], f"127.0.0.1:{listener.getsockname()[1]}")
                running.send_signal(signal.SIGINT)
                assert running.wait(5) == 0
            finally:
                running.kill()
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(api: Api) -> Iterator[str]:
    """The address of a fresh proxy called ``one``."""
    status, shown = api.call("POST", "/proxies", {"name": "one", "upstream": api.upstream, "listen": "127.0.0.1:0"})
    assert status == 201
    assert shown["enabled"]
    yield shown["listen"]
    api.call("DELETE", "/proxies/one")


def toxic(api: Api, kind: str, stream: str = "downstream", **attributes: float) -> None:
    status, shown = api.call("POST", "/proxies/one/toxics", {"type": kind, "stream": stream, "attributes": attributes})
    assert status == 200, shown
    assert shown["name"] == f"{kind}_{stream}"


def test_latency_and_its_change_and_its_end(api, proxy):
    toxic(api, "latency", latency=80, jitter=0)
    assert 0.078 < ask(proxy) < 0.3
    assert api.call("PATCH", "/proxies/one/toxics/latency_downstream", {"attributes": {"latency": 30}})[0] == 200
    assert 0.028 < ask(proxy) < 0.078
    assert api.call("DELETE", "/proxies/one/toxics/latency_downstream") == (204, None)
    assert ask(proxy) < 0.05
    assert api.call("GET", "/proxies/one/toxics") == (200, [])


def test_bandwidth(api, proxy):
    toxic(api, "bandwidth", rate=1000)
    assert 0.18 < ask(proxy, bytes(200_000)) < 0.5


def test_slicer(api, proxy):
    toxic(api, "slicer", average_size=10, size_variation=3, delay=5000)
    assert ask(proxy, bytes(100)) > 0.03


def test_limit_data(api, proxy):
    toxic(api, "limit_data", bytes=10)
    with pytest.raises(ConnectionError, match="after 10 bytes"):
        ask(proxy, bytes(100))


def test_timeout_closes(api, proxy):
    toxic(api, "timeout", timeout=50)
    begun = time.monotonic()
    with pytest.raises(ConnectionError, match="after 0 bytes"):
        ask(proxy)
    assert 0.04 < time.monotonic() - begun < 1


def test_reset_peer(api, proxy):
    toxic(api, "reset_peer", timeout=0)
    with pytest.raises(ConnectionResetError):
        ask(proxy)


def test_slow_close(api, proxy):
    toxic(api, "slow_close", "upstream", delay=80)
    with connect(proxy) as caller:
        caller.shutdown(socket.SHUT_WR)
        begun = time.monotonic()
        assert caller.recv(1) == b""
        assert 0.07 < time.monotonic() - begun < 0.5


def test_toxicity_is_drawn_for_each_connection_and_seeded(api, proxy):
    def hits() -> list[bool]:
        api.call("DELETE", "/proxies/one/toxics/reset_peer_downstream")
        document = {"type": "reset_peer", "toxicity": 0.5, "seed": 7, "attributes": {"timeout": 0}}
        assert api.call("POST", "/proxies/one/toxics", document)[1]["seed"] == 7
        return [cut(proxy) for _ in range(12)]

    first = hits()
    assert 0 < sum(first) < 12


def cut(address: str) -> bool:
    try:
        ask(address)
    except OSError:
        return True
    return False


def test_a_toxic_with_a_time_to_live_goes_by_itself(api, proxy):
    document = {"type": "latency", "attributes": {"latency": 1000}, "ttl": "100ms"}
    assert api.call("POST", "/proxies/one/toxics", document)[0] == 200
    assert ask(proxy) < 0.5
    assert api.call("GET", "/proxies/one/toxics") == (200, [])


def test_disable_and_reset(api, proxy):
    with connect(proxy) as live:
        live.sendall(b"x")
        assert live.recv(1) == b"x"
        assert api.call("POST", "/proxies/one", {"enabled": False})[1]["enabled"] is False
        with pytest.raises(ConnectionResetError):
            live.recv(1)
    with pytest.raises(ConnectionRefusedError):
        ask(proxy)
    assert api.call("POST", "/reset", {}) == (204, None)
    ask(proxy)


def test_populate(api):
    documents = [{"name": name, "upstream": api.upstream, "listen": "127.0.0.1:0"} for name in ("a", "b")]
    status, shown = api.call("POST", "/populate", documents)
    assert status == 201
    assert [each["name"] for each in shown["proxies"]] == ["a", "b"]
    again = api.call("POST", "/populate", [{**shown["proxies"][0], "enabled": True}])
    assert again[1]["proxies"][0]["listen"] == shown["proxies"][0]["listen"]
    assert {"a", "b"} <= api.call("GET", "/proxies")[1].keys()
    for name in ("a", "b"):
        assert api.call("DELETE", f"/proxies/{name}")[0] == 204


@pytest.mark.parametrize(
    ("method", "path", "document", "status"),
    [
        ("GET", "/proxies/none", None, 404),
        ("POST", "/proxies", {"name": "one", "upstream": "127.0.0.1:1"}, 409),
        ("POST", "/proxies", {"upstream": "127.0.0.1:1"}, 400),
        ("POST", "/proxies", {"name": "x", "upstream": "nonsense"}, 400),
        ("POST", "/proxies", ["x"], 400),
        ("POST", "/proxies/one/toxics", {"type": "earthquake"}, 400),
        ("POST", "/proxies/one/toxics", {"type": "latency", "stream": "sideways"}, 400),
        ("POST", "/proxies/one/toxics", {"type": "latency", "attributes": {"latency": "long"}}, 400),
        ("POST", "/proxies/one/toxics", {"type": "latency", "toxicity": 2}, 400),
        ("GET", "/proxies/one/toxics/none", None, 404),
        ("DELETE", "/proxies/one/toxics/none", None, 404),
        ("PUT", "/proxies/one", {}, 405),
        ("GET", "/nothing", None, 404),
    ],
)
def test_refusals(api, proxy, method, path, document, status):
    got, said = api.call(method, path, document)
    assert got == status
    assert said["error"]
    assert said["status"] == status


def test_the_client_of_toxiproxy_unchanged(api):
    toxiproxy = pytest.importorskip("toxiproxy", reason="pip install toxiproxy-python")
    server = toxiproxy.Toxiproxy()
    host, _, port = api.control.rpartition(":")
    server.update_api_consumer(host, int(port))
    assert b"version" in server.version()
    made = server.create(upstream=api.upstream, name="theirs")
    try:
        assert server.get_proxy("theirs").listen == made.listen
        made.add_toxic(type="latency", attributes={"latency": 60, "jitter": 0})
        assert made.toxics()["latency_downstream"].attributes["latency"] == 60
        assert ask(made.listen) > 0.055
        made.destroy_toxic("latency_downstream")
        assert made.toxics() == {}
        with made.down(), pytest.raises(ConnectionRefusedError):
            ask(made.listen)
        ask(made.listen)
        with pytest.raises(Exception, match="already exists"):
            server.create(upstream=api.upstream, name="theirs")
        with pytest.raises(Exception, match="invalid toxic type"):
            made.add_toxic(type="nonsense")
        assert server.reset()
        populated = server.populate([{"name": "second", "upstream": api.upstream, "listen": "127.0.0.1:0"}])
        assert [each.name for each in populated] == ["second"]
    finally:
        server.destroy_all()
    assert server.proxies() == {}
