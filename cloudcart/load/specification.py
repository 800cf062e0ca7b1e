"""What the parent tells a generator to do, and the check of where load may go. Used by ``start``."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from cloudcart.exceptions import UsageError
from cloudcart.load.profile import LoadProfile
from cloudcart.load.rows import LIVE_FILE

DRAIN: Final = 5.0
"""Seconds that visits under way get to end once the load is over, unless the parent says otherwise."""

MASTER: Final = -1
"""The part of a shared load that gives none: Locust's master."""


class PreparedUser(Protocol):
    """An account and a token that outlives the load, as ``Lab.prepare_users`` makes them."""

    @property
    def user_id(self) -> int:
        """The user's id."""

    @property
    def username(self) -> str:
        """The user's name."""

    @property
    def token(self) -> str:
        """The bearer token."""


def specification(
    profile: LoadProfile,
    *,
    host: str,
    journey: Path,
    folder: Path,
    users: Sequence[PreparedUser],
    admin_token: str,
    web: int | None = None,
    part: int = 0,
    master: int | None = None,
) -> dict[str, Any]:
    """Return what one generator is to do. It goes over a socket, so that the tokens in it are never written down."""
    return {
        "profile": profile.model_dump(mode="json"),
        "host": host,
        "journey": str(journey),
        "rows": str(live_file(folder, part)),
        "users": [(user.user_id, user.username, user.token) for user in users],
        "admin_token": admin_token,
        "web": web,
        "part": part,
        "master": master,
    }


def suffix(part: int) -> str:
    """Return what the names of a worker's files end in; nothing for the first. Negative: Locust's master."""
    return f"-{part + 1}" if part > 0 else "-master" if part < 0 else ""


def live_file(folder: Path, part: int) -> Path:
    """Return where a worker writes its rows while it runs."""
    return folder / f"{LIVE_FILE.removesuffix('.tsv')}{suffix(part)}.tsv"


def check_host(host: str, *, allow_remote: bool) -> None:
    """Refuse what is no base URL, and what is not this machine unless that was said to be meant."""
    url = urlsplit(host)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise UsageError(f"load goes to a base URL like http://127.0.0.1:3000, not {host!r}")
    if not (allow_remote or _is_loopback(url.hostname)):
        raise UsageError(
            f"{url.hostname} is not this machine; allow_remote=True gives load to a lab elsewhere that is yours"
        )


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
