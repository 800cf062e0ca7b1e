"""Toxiproxy's API: by a client written for Toxiproxy, unchanged, where it is installed; and by plain HTTP."""

from __future__ import annotations

import asyncio
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
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.chaos.links.toxiproxy import ToxiproxyApi
from cloudcart.exceptions import RefusedError


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
    toxic(api, "latency", latency=600, jitter=0)
    assert ask(proxy) > 0.598
    assert api.call("PATCH", "/proxies/one/toxics/latency_downstream", {"attributes": {"latency": 100}})[0] == 200
    assert 0.098 < min(ask(proxy) for _ in range(3)) < 0.598
    assert api.call("DELETE", "/proxies/one/toxics/latency_downstream") == (204, None)
    assert min(ask(proxy) for _ in range(3)) < 0.098
    assert api.call("GET", "/proxies/one/toxics") == (200, [])


def test_bandwidth(api, proxy):
    toxic(api, "bandwidth", rate=1000)
    assert 0.18 < min(ask(proxy, bytes(200_000)) for _ in range(3)) < 2


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
    assert time.monotonic() - begun > 0.04


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
        assert time.monotonic() - begun > 0.07


def test_toxicity_is_drawn_for_each_connection_and_seeded(api, proxy):
    def hits() -> list[bool]:
        api.call("DELETE", "/proxies/one/toxics/reset_peer_downstream")
        document = {"type": "reset_peer", "toxicity": 0.5, "seed": 7, "attributes": {"timeout": 0}}
        assert api.call("POST", "/proxies/one/toxics", document)[1]["seed"] == 7
        return [cut(proxy) for _ in range(12)]

    first = hits()
    assert 0 < sum(first) < 12
    assert hits() == first, "the same seed hits the same connections after the toxic was made anew"


def cut(address: str) -> bool:
    try:
        ask(address)
    except OSError:
        return True
    return False


def test_a_toxic_with_a_time_to_live_goes_by_itself(api, proxy):
    document = {"type": "latency", "attributes": {"latency": 4000}, "ttl": "100ms"}
    assert api.call("POST", "/proxies/one/toxics", document)[0] == 200
    assert ask(proxy) < 3.9
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
        ("POST", "/proxies/one", {"upstream": 5}, 400),
        ("POST", "/proxies/one", {"listen": ["127.0.0.1:0"]}, 400),
        ("POST", "/proxies/one", {"listen": "nowhere"}, 400),
        ("POST", "/proxies/one", {"enabled": "no"}, 400),
        ("POST", "/proxies/one/toxics", {"name": ["x"], "type": "latency"}, 400),
        ("POST", "/proxies/one/toxics", {"name": 5, "type": "latency"}, 400),
        ("POST", "/proxies/one/toxics", {"type": "latency", "attributes": {"latency": 10**400}}, 400),
        ("POST", "/proxies/one/toxics", {"type": "latency", "ttl": "99h"}, 400),
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
    assert "pydantic" not in said["error"]
    assert said["status"] == status
    assert ask(proxy) < 5, "the proxy goes on as it was"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
FIELDS = ("name", "type", "stream", "toxicity", "attributes", "ttl", "seed", "per", "listen", "upstream", "enabled")


@given(st.lists(st.tuples(st.sampled_from(["POST", "PATCH"]), st.sampled_from(["", "/one", "/one/toxics",
       "/one/toxics/latency_downstream"]), st.dictionaries(st.sampled_from(FIELDS), JSON | st.just("latency")) | JSON),
       max_size=5))  # fmt: skip
def test_any_document_is_taken_or_refused(requests):
    """Whatever is asked, the answer is a document or a refusal, and what was made can be shown and ended."""

    async def ask_all() -> None:
        api = ToxiproxyApi()
        try:
            await api.create({"name": "one", "upstream": "127.0.0.1:1", "enabled": False})
            await api.answer("POST", "/proxies/one/toxics", {"type": "latency"})
            for method, path, document in requests:
                with suppress(RefusedError):
                    await api.answer(method, f"/proxies{path}", document)
            status, shown = await api.answer("GET", "/proxies", {})
            assert status == 200
            assert json.dumps(shown)
            for name in shown:
                assert await api.answer("DELETE", f"/proxies/{name}", {}) == (204, None)
        finally:
            api.close()

    asyncio.run(ask_all())


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
