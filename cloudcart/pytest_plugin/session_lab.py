"""The one lab of a pytest process: started when a test first needs it, again when one needs other settings.

Not the fixtures (``fixtures``); those ask for a lab and give it back healed and reset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloudcart.exceptions import UsageError
from cloudcart.pytest_plugin import plugin
from cloudcart.pytest_plugin.options import flag, setting
from cloudcart.pytest_plugin.timing import Stopwatch
from cloudcart.pytest_plugin.turn import Turn

if TYPE_CHECKING:
    from cloudcart.lab import Lab


class SessionLab:
    """Holds the lab.

    Args:
        config: pytest's.
        backend: where the shop runs.
        turn: starting a shop takes the processor from another worker's measurement, so it waits for its turn.
    """

    def __init__(self, config: pytest.Config, backend: str, turn: Turn) -> None:
        self._config = config
        self._backend = backend
        self._turn = turn
        self._lab: Lab | None = None
        self._settings: dict[str, str] | None = None

    def with_settings(self, settings: dict[str, str]) -> Lab:
        """Return a running lab with just these settings."""
        if self._lab is None or settings != self._settings:
            self.close()
            start = Stopwatch()
            with self._turn.taken(), start.running():
                self._lab, self._settings = self._begin(settings), settings
            self._config.stash[plugin.FINDINGS].append({"lab_seconds": start.seconds})
        return self._lab

    def _begin(self, settings: dict[str, str]) -> Lab:
        from cloudcart import lab

        if name := setting(self._config, "reuse"):
            return lab.attach(name)
        if self._backend == "external":
            url = setting(self._config, "url")
            found = lab.start("external", overrides={**settings, **({"urls.gateway": url} if url else {})})
            self._spare_people(found)
            return found
        return lab.start(self._backend, overrides=settings, detach=flag(self._config, "keep"))

    def _spare_people(self, found: Lab) -> None:
        """Refuse a lab that others work in, unless its data may go: each test begins and ends with a reset."""
        if not flag(self._config, "wipe") and (lost := found.would_lose()):
            raise UsageError(
                f"the lab at {found.urls['gateway']} has {lost}, and a test resets it; "
                "add --cloudcart-wipe if nobody wants them, or take another lab"
            )

    def close(self) -> None:
        """End the lab, unless it was somebody else's or is to be kept."""
        if self._lab is None:
            return
        if flag(self._config, "keep"):
            self._config.stash[plugin.FINDINGS].append({"kept": self._lab.name})
        elif not setting(self._config, "reuse"):
            self._lab.close()
        self._lab = None
