"""A shop of one file for load to go to: an ASGI application under uvicorn, in a process of its own.

It remembers which requests it saw and can be told, by ``POST /behave``, to stall, refuse, hang, cut or mark answers.
``python small_shop.py`` prints its URL; it ends when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import socket
import sys
import threading
import time

import uvicorn

PRODUCTS = [{"id": i, "name": f"Product {i}", "category": f"category-{i % 5}", "price": 9.5} for i in range(1, 25)]


class CutError(Exception):
    """The connection is to be closed in the middle of the answer."""


class SmallShop:
    def __init__(self) -> None:
        self.behaviour: dict = {}
        self.seen: list[dict] = []
        self.numbers = itertools.count(1)

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return None
        body = b""
        while (message := await receive()).get("more_body") or message["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path, method = scope["path"], scope["method"]
        if path == "/behave":
            self.behaviour = json.loads(body)
            if stall := self.behaviour.get("stall"):
                time.sleep(stall)  # noqa: ASYNC251  # nothing at all is served meanwhile, as by a blocked event loop
            return await self.answer(send, 200, {})
        if path == "/seen" and method == "DELETE":
            self.seen.clear()
        if path == "/seen":
            return await self.answer(send, 200, self.seen)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append({"method": method, "path": path, "body": body.decode(), **headers})
        if re.search(self.behaviour.get("on", "$^"), f"{method} {path}"):
            return await self.misbehave(send)
        return await self.answer(send, *self.serve(method, path, json.loads(body or b"null")))

    def serve(self, method, path, body):
        match method, path.strip("/").split("/")[1:]:
            case "POST", ["auth", "register"]:
                return 201, {"token": f"token-of-{body['username']}", "user": {"id": next(self.numbers)}}
            case "POST", ["auth", "login"]:
                return 200, {"token": "token-of-admin"}
            case "GET", ["orders", number] if number.isdigit():
                return 200, {"id": int(number), "status": "confirmed"}
            case "GET", ["auth", "validate"] | ["users"] | ["notifications"] | ["orders"]:
                return 200, []
            case "GET", ["products"] | ["products", "category", _]:
                return 200, PRODUCTS
            case "GET", ["products", number]:
                return 200, PRODUCTS[int(number) - 1]
            case "POST", ["orders"]:
                return 201, {"id": next(self.numbers), "status": "awaiting_payment", **body}
            case "POST", ["orders", number, "pay"]:
                return 200, {"id": int(number), "status": "confirmed"}
            case "GET", ["orders", "my-orders"]:
                return 200, []
        return 404, {"error": "there is no such thing"}

    async def misbehave(self, send):
        await asyncio.sleep(self.behaviour.get("delay", 0.0))
        if self.behaviour.get("cut"):
            start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]}
            await send(start)
            await send({"type": "http.response.body", "body": b"[1, 2", "more_body": True})
            raise CutError
        marks = [(b"x-cloudcart-fault", mark.encode()) for mark in self.behaviour.get("marks", ())]
        location = [(b"location", self.behaviour["location"].encode())] if "location" in self.behaviour else []
        return await self.answer(send, self.behaviour.get("status", 200), {"error": "as told"}, [*marks, *location])

    async def answer(self, send, status, document, headers=()):
        body = json.dumps(document).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(SmallShop(), log_level="critical", access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
