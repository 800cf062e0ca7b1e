"""How many requests a second the gateway proxies, beside nginx, a bare proxy and a bare Starlette application.

    python benchmarks/gateway.py [--quick] [--json]

The gateway runs as in a lab or in production: its own process under uvicorn and uvloop, every token checked, the rate
limit on in a real Valkey (its bound out of reach), metrics, chaos middleware and access log on. nginx, one process with
an access log, is measured twice: ``proxy_pass`` as it comes, with a connection to the upstream for each request
(``nginx``, of which the aim is a share), and tuned to keep those connections, as the gateway does
(``nginx_with_keepalive``). ``bare_proxy`` is the gateway's own server and client with nothing between them, which is
as far as saving could go; ``starlette`` answers by itself. All answer the same small JSON; what they proxy to is
another nginx, which is no bottleneck. They are loaded in turns by ``wrk``, so that a busy machine slows all of them;
the median of the rounds is reported.
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from _wrk import Load, wrk
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cloudcart.lab.service_process import ServiceProcess, fork
from cloudcart.lab.valkey import Valkey
from cloudcart.services.security import Principal, TokenSigner
from cloudcart.settings import Auth, Gateway, Settings, Stores, Urls

CONNECTIONS = 32
PATH = "/api/orders/my-orders"
ANSWER = json.dumps([{"id": 7, "user_id": 3, "total_amount": 42.5, "status": "confirmed", "items": []}])
PROGRAMS = {"nginx": "nginx-light", "wrk": "wrk"}
AIM = 0.25

NGINX = """
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
  keepalive_requests 100000000;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  {http}
}}
"""
UPSTREAM = """
  access_log off;
  server {{ listen 127.0.0.1:{port}; default_type application/json; location / {{ return 200 '{answer}'; }} }}
"""
PROXY = """
access_log {directory}/access.log;
server {{
  listen 127.0.0.1:{port};
  location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.0; proxy_set_header Connection close; }}
}}
"""
PROXY_WITH_KEEPALIVE = """
access_log {directory}/access.log;
upstream behind {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
server {{
  listen 127.0.0.1:{port};
  location / {{ proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }}
}}
"""
STARLETTE = f"""
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

async def answer(request):
    return Response(sys.argv[2], media_type="application/json")

app = Starlette(routes=[Route("{PATH}", answer)])
uvicorn.run(app, port=int(sys.argv[1]), http="httptools", loop="uvloop", access_log=False, log_level="error")
"""
BARE_PROXY = """
import sys, uvicorn
from cloudcart.services.http_client import HttpClient

client = HttpClient()

async def proxy(scope, receive, send):
    answer = await client.request("GET", sys.argv[2], scope["path"], timeout=5)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})

uvicorn.run(proxy, port=int(sys.argv[1]), http="httptools", loop="uvloop", access_log=False, log_level="error",
            lifespan="off")
"""


def measure(*, rounds: int, seconds: int) -> dict[str, Any]:
    """Start everything, load them in turns, and end everything."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cc-")))
        upstream, proxy, tuned, bare, starlette, gateway = free_ports(6)
        valkey = stack.enter_context(Valkey(directory / "valkey"))
        settings = gateway_settings(valkey.url, f"http://127.0.0.1:{upstream}")
        log = directory / "gateway.log"
        gc.freeze()  # as the lab does before it forks
        stack.enter_context(service(ServiceProcess("gateway", settings, gateway, log)))
        stack.enter_context(nginx(directory / "upstream", UPSTREAM.format(port=upstream, answer=ANSWER), upstream))
        for name, configuration, port in (("proxy", PROXY, proxy), ("tuned", PROXY_WITH_KEEPALIVE, tuned)):
            http = configuration.format(port=port, upstream=upstream, directory=directory)
            stack.enter_context(nginx(directory / name, http, port))
        stack.enter_context(program([sys.executable, "-c", STARLETTE, str(starlette), ANSWER], starlette))
        command = [sys.executable, "-c", BARE_PROXY, str(bare), f"http://127.0.0.1:{upstream}"]
        stack.enter_context(program(command, bare))
        token = TokenSigner(settings.auth).issue(Principal(3, "demo", is_admin=False))
        targets = {
            "gateway": gateway,
            "nginx": proxy,
            "nginx_with_keepalive": tuned,
            "bare_proxy": bare,
            "starlette": starlette,
        }
        loads: dict[str, list[Load]] = {name: [] for name in targets}
        for port in targets.values():
            ask(port, token, 1)  # warm
        for _ in range(rounds):
            for name, port in targets.items():
                loads[name].append(ask(port, token, seconds))
        logged = log.read_bytes().count(b"\n")
    return summary(loads, logged)


def summary(loads: dict[str, list[Load]], logged: int) -> dict[str, Any]:
    """Return the figures: medians of the rounds, and ratios of rounds that lie side by side."""
    rate = {name: [load.requests_per_second for load in rounds] for name, rounds in loads.items()}

    def ratio(other: str) -> float:
        return round(
            statistics.median(ours / theirs for ours, theirs in zip(rate["gateway"], rate[other], strict=True)), 3
        )

    return {
        "requests_per_second": {name: round(statistics.median(rates)) for name, rates in rate.items()},
        "p50_ms": {name: statistics.median(load.p50 for load in rounds) for name, rounds in loads.items()},
        "p99_ms": {name: statistics.median(load.p99 for load in rounds) for name, rounds in loads.items()},
        "ratio_to_nginx": ratio("nginx"),
        "ratio_to_nginx_with_keepalive": ratio("nginx_with_keepalive"),
        "ratio_to_bare_proxy": ratio("bare_proxy"),
        "ratio_to_starlette": ratio("starlette"),
        "errors": {name: sum(load.errors for load in rounds) for name, rounds in loads.items()},
        "access_log_lines": logged,
        "rounds": {name: [round(one) for one in rates] for name, rates in rate.items()},
        "connections": CONNECTIONS,
        "aim": AIM,
    }


def gateway_settings(redis: str, upstream: str) -> Settings:
    """Return what the gateway is started with: everything on, and the bound of the rate limit out of reach."""
    key = Ed25519PrivateKey.generate()
    auth = Auth(
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        public_key=key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )
    return Settings(
        auth=auth,
        stores=Stores(redis=redis),
        urls=Urls(**dict.fromkeys(("users", "products", "orders", "chaos", "notifications"), upstream)),
        gateway=Gateway(rate_limit_requests=10**9),
    )


def ask(port: int, token: str, seconds: int) -> Load:
    """Load one server and return what wrk saw."""
    headers = {"Authorization": f"Bearer {token}"}
    return wrk(f"http://127.0.0.1:{port}{PATH}", connections=CONNECTIONS, seconds=seconds, headers=headers)


@contextmanager
def service(spec: ServiceProcess) -> Iterator[None]:
    """Run a service of the shop in a process of its own."""
    process = fork(spec)
    try:
        wait_for(spec.port)
        yield
    finally:
        process.signal(signal.SIGTERM)
        process.wait()


@contextmanager
def nginx(directory: Path, http: str, port: int) -> Iterator[None]:
    """Run nginx with one worker and this configuration inside ``http``."""
    directory.mkdir()
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX.format(directory=directory, http=http))
    with program(["nginx", "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(configuration)], port):
        yield


@contextmanager
def program(command: list[str], port: int) -> Iterator[None]:
    """Run a program that listens on ``port``."""
    with subprocess.Popen(command) as running:
        try:
            wait_for(port)
            yield
        finally:
            running.terminate()


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(port: int) -> None:
    """Return as soon as somebody listens."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port} after 20 s; look at what was printed above")


def main() -> int:
    """Run the benchmark; exit code 1 if a request failed. A ratio is for people to judge, on a machine they know."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: under a minute")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object, last")
    options = parser.parse_args()
    missing = [package for name, package in PROGRAMS.items() if shutil.which(name) is None]
    if missing:
        print(f"programs are missing; run: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 2
    result = measure(rounds=3 if options.quick else 9, seconds=2 if options.quick else 8)
    for name, requests in result["requests_per_second"].items():
        p50, p99 = result["p50_ms"][name], result["p99_ms"][name]
        print(f"{name:23} {requests:8,} requests/s   p50 {p50:7.2f} ms   p99 {p99:7.2f} ms")
    print(
        f"gateway to nginx {result['ratio_to_nginx']} (aim: {AIM}), with keepalive "
        f"{result['ratio_to_nginx_with_keepalive']}, to a bare proxy {result['ratio_to_bare_proxy']}, "
        f"to bare Starlette {result['ratio_to_starlette']}"
    )
    if options.json:
        print(json.dumps(result))
    return 1 if any(result["errors"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
