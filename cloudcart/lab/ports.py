"""Ports of services: held by the supervisor for the lab's whole life, listened on by whichever process serves now.

A port is held by binding without listening, so a killed service refuses connections as a real one would, and its
successor gets the same port. Found by binding, never by guessing. Everything is on 127.0.0.1.
"""

from __future__ import annotations

import socket
from typing import Final

from cloudcart.exceptions import LabError

LOOPBACK: Final = "127.0.0.1"


def hold(port: int = 0, *, for_others: bool = False) -> socket.socket:
    """Take a port, 0 for any free one, and return the socket that holds it; its number is ``getsockname()[1]``.

    It is shared with this user's processes that ask for it with SO_REUSEPORT, as ours do. ``for_others`` shares it with
    every program that sets SO_REUSEADDR, as servers do: what runs in a container, what runs on Java.

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
        if not for_others:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        holder.close()
        raise LabError(
            f"port {port} is taken by {_holder_of(port)}; end it, or let the lab find free ports with --free-ports"
        ) from None
    return holder


def listen(port: int) -> socket.socket:
    """Return a listening socket on a port that the supervisor holds."""
    from cloudcart.services.serve import listen as listen_at

    return listen_at(LOOPBACK, port)


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
