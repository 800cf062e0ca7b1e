"""Asks services whether they are ready: ``GET /ready`` of all at once, on plain sockets, without a thread or a library.

Called by the supervisor while a lab starts (it is about to fork, so it has no threads) and by the lab's handle.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Mapping


def ready_services(addresses: Mapping[str, tuple[str, int]], timeout: float) -> set[str]:
    """Return those of ``addresses`` (service: host, port) whose ``/ready`` answers 200 within ``timeout`` seconds."""
    ready = set()
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as waiting:
        for service, address in addresses.items():
            question = socket.socket()
            question.setblocking(False)
            question.connect_ex(address)
            waiting.register(question, selectors.EVENT_WRITE, service)
        while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, events in waiting.select(left):
                if events & selectors.EVENT_WRITE:
                    _ask(waiting, key)
                else:
                    ready |= {key.data} if _is_yes(key) else set()
                    _drop(waiting, key)
        for key in list(waiting.get_map().values()):
            _drop(waiting, key)
    return ready


def _ask(waiting: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    question: socket.socket = key.fileobj  # type: ignore[assignment]
    try:
        question.send(b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        waiting.modify(question, selectors.EVENT_READ, key.data)
    except OSError:  # nobody listens
        _drop(waiting, key)


def _is_yes(key: selectors.SelectorKey) -> bool:
    question: socket.socket = key.fileobj  # type: ignore[assignment]
    try:
        return question.recv(64).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def _drop(waiting: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    waiting.unregister(key.fileobj)
    key.fileobj.close()  # type: ignore[union-attr]
