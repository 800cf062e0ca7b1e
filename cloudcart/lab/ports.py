"""Ports of services: held by the supervisor for the lab's whole life, listened on by whichever process serves now.

A port is held by binding without listening, so a killed service refuses connections as a real one would, and its
successor gets the same port. Found by binding, never by guessing. Everything is on 127.0.0.1.
"""

from __future__ import annotations

import socket
from typing import Final

from cloudcart.exceptions import LabError

LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 2048


def hold(port: int = 0) -> socket.socket:
    """Take a port, 0 for any free one, and return the socket that holds it; its number is ``getsockname()[1]``.

    Raises:
        LabError: it is taken; the message names the holder, if this user may know it.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Ports that past connections still wait on are free; ports that anybody else holds are not.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, port))
        # Only now can it be shared, and with this user's processes alone: an earlier wish to share would have let us
        # bind a port that another lab holds.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        holder.close()
        raise LabError(
            f"port {port} is taken by {_holder_of(port)}; end it, or let the lab find free ports with --free-ports"
        ) from None
    return holder


def listen(port: int) -> socket.socket:
    """Return a listening socket on a port that the supervisor holds.

    The protocol is named because event loops set TCP_NODELAY only then; without it, Nagle's algorithm and delayed
    acknowledgements add 40 ms to every answer that is written in two pieces.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((LOOPBACK, port))
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _holder_of(port: int) -> str:
    import psutil

    try:
        pids = {
            found.pid
            for found in psutil.net_connections("tcp")
            if found.laddr and found.laddr.port == port and found.pid
        }
        names = sorted(f"{psutil.Process(pid).name()} (pid {pid})" for pid in pids)
    except psutil.Error:
        names = []
    return " and ".join(names) or "a program of another user, or one that does not listen yet"
