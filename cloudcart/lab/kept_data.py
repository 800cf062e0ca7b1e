"""A directory of the user's in which PostgreSQL's data outlive the lab: ``cloudcart up --data DIR``.

It also keeps the passwords and keys that a lab makes up, since the seeded users in the database have them. One lab at a
time uses it. Redis and Kafka keep nothing there: they begin empty each time.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloudcart.exceptions import LabError, UsageError
from cloudcart.lab.directory import directory_mode

if TYPE_CHECKING:
    from cloudcart.settings import Settings

_SEEDED: Final = ("admin_password", "demo_password")
_PATIENCE: Final = 3.0  # seconds; then PostgreSQL itself says what it thinks of another server
_POLL: Final = 0.01
_KEPT: Final = (*_SEEDED, "private_key", "public_key", "service_secret")


class KeptData:
    """The directory ``path``, made when missing and then locked for as long as this process lives.

    Attributes:
        used_before: whether there was a lab before that kept its data here.

    Raises:
        LabError: it cannot be made or written to, or another lab uses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.postgres = path / "postgres"
        self._auth = path / "auth.json"
        try:
            if not path.exists():
                path.mkdir()
                path.chmod(directory_mode())
            self._lock = os.open(path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LabError(f"no data can be kept in {path}: {error.strerror}; give another directory") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"another lab keeps its data in {path}; end it first, or give another directory") from None
        self.used_before = self._auth.exists()
        self._let_predecessor_end()

    def settle(self, overrides: Mapping[str, object]) -> dict[str, object]:
        """Return ``overrides`` of settings with the passwords and keys of the lab that was here before.

        Raises:
            UsageError: other passwords are asked for than the seeded users have.
        """
        from cloudcart.settings import Settings

        if not self._auth.exists():
            return dict(overrides)
        kept: dict[str, str] = json.loads(self._auth.read_text())
        asked = Settings().with_overrides(overrides).auth
        for name in _SEEDED:
            wanted = getattr(asked, name)
            if wanted is not None and wanted.get_secret_value() != kept[name]:
                raise UsageError(f"the user in {self.path} has another password; leave auth.{name} away")
        return {**overrides, **{f"auth.{name}": value for name, value in kept.items()}}

    def note(self, settings: Settings) -> None:
        """Keep the passwords and keys of a new lab, readable by this user alone."""
        from cloudcart.lab.wiring import dump_settings

        if not self._auth.exists():
            auth = dump_settings(settings)["auth"]
            descriptor = os.open(self._auth, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w") as file:  # noqa: PTH123 -- the mode must be right from the first byte on
                json.dump({name: auth[name] for name in _KEPT}, file)

    def _let_predecessor_end(self) -> None:
        """Wait for a server whose lab was killed: it ends by itself, but not at the same moment."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                os.kill(int((self.postgres / "data" / "postmaster.pid").read_text().partition("\n")[0]), 0)
            except (OSError, ValueError):
                return
            time.sleep(_POLL)
