"""What ``kill_run.py`` does to a running lab, and when: processes killed or paused, connections cut, by a seed.

Each deed is one call; whatever it stops goes on by itself or is started again, by the supervisor or here.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import psycopg

from cloudcart.lab import Lab
from cloudcart.settings import SERVICES

PAUSES = (
    1.0,
    6.0,
)  # seconds, from and to: longer than every time-out within the shop, and than a consumer may be silent
WITHOUT_STORE = 1.0  # seconds

CUT_CONNECTIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""

Deeds = Mapping[str, Callable[[], object]]


def deeds(lab: Lab, draw: random.Random) -> Deeds:
    """Return everything that may be done to ``lab``, by its name; ``draw`` decides how long a pause is."""
    found: dict[str, Callable[[], object]] = {}
    for service in SERVICES:
        found[f"kill {service}"] = partial(lab.control, "kill", service=service)
        found[f"pause {service}"] = partial(pause, lab, service, draw)
    return found | {
        "pause broker": partial(pause, lab, "broker", draw),
        "kill redis": partial(kill_store, lab, "valkey"),
        "kill postgres": partial(kill_store, lab, "postgres"),
        "cut database connections": partial(cut_connections, lab),
    }


def pause(lab: Lab, process: str, draw: random.Random) -> None:
    """Stop a process for a while; the supervisor lets it go on."""
    lab.control("hold", service=process, holder="kill run", pause=True, seconds=draw.uniform(*PAUSES))


def kill_store(lab: Lab, store: str) -> None:
    """Kill a store, and start it again after a moment with what it had on disk: Redis has nothing."""
    lab.control("kill", service=store)
    time.sleep(WITHOUT_STORE)
    lab.control("restart", service=store)


def cut_connections(lab: Lab) -> None:
    """End every session of PostgreSQL, in the middle of whatever it does."""
    with psycopg.connect(lab.database_url, autocommit=True) as connection:
        connection.execute(CUT_CONNECTIONS)


def in_turns(names: list[str], draw: random.Random) -> Iterator[str]:
    """Yield names for ever, in random order, each once before any comes again."""
    while True:
        yield from draw.sample(names, len(names))


async def kill(lab: Lab, every: float, seconds: float, draw: random.Random, done: Counter[str]) -> None:
    """Do something every so many seconds; not in the last ``every`` of ``seconds``. Count it in ``done``."""
    possible = deeds(lab, draw)
    began = time.monotonic()
    for number, name in enumerate(in_turns(sorted(possible), draw), 1):
        if number * every >= seconds:
            return
        await asyncio.sleep(max(0.0, began + number * every - time.monotonic()))
        await asyncio.to_thread(possible[name])
        done[name] += 1
