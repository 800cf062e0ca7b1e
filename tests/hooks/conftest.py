"""An environment without a word about labs, and a thread that heals while somebody waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cloudcart import Hooks


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAB", "FAULTS", "CHAOS_URL", "CHAOS_TOKEN", "SEED", "REPLICA"):
        monkeypatch.delenv(f"CLOUDCART_{name}", raising=False)


@pytest.fixture
def heal_when_held() -> Iterator[Callable[[Hooks], None]]:
    """Heals everything, from another thread, as soon as a fault holds something back."""
    threads: list[threading.Thread] = []

    def heal(hooks: Hooks) -> None:
        deadline = time.monotonic() + 10
        while not any(record.waiting for record in hooks.active.records()) and time.monotonic() < deadline:
            time.sleep(0.005)
        hooks.active.clear()

    def start(hooks: Hooks) -> None:
        thread = threading.Thread(target=heal, args=(hooks,))
        thread.start()
        threads.append(thread)

    yield start
    for thread in threads:
        thread.join(15)
