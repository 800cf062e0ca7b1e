"""Starts load: one generator, or Locust's master and the workers that share a load; returns when their clock runs.

What the parent does with it from then on is ``runner``. Synchronous and light, as that is: nothing here imports Locust.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from cloudcart.exceptions import LoadError, MissingExtraError, UsageError
from cloudcart.load.child import GeneratorProcess, Generators
from cloudcart.load.lookup import find_journey
from cloudcart.load.profile import LoadProfile
from cloudcart.load.runner import START_DEADLINE, LoadRun
from cloudcart.load.specification import MASTER, PreparedUser, check_host, live_file, specification, suffix

LOG_FILE: Final = "generator.log"


def start_load(
    profile: LoadProfile,
    *,
    host: str,
    users: Sequence[PreparedUser] = (),
    folder: Path,
    admin_token: str = "",
    seed: int | None = None,
    progress: Callable[[str], None] = lambda _text: None,
    allow_remote: bool = False,
    web: int | None = None,
    generators: Generators | None = None,
) -> LoadRun:
    """Start load in a process of its own; return when its clock has started.

    Args:
        profile: how much, of what, for how long.
        host: base URL of the gateway.
        users: accounts prepared for the load; none: the generator registers a few through the API before it begins.
        folder: where rows, log and finally ``requests.parquet`` go; made when missing.
        admin_token: token of an admin, for journeys of an admin.
        seed: instead of the profile's.
        progress: told what is going on.
        allow_remote: give load to a host other than this one. Say so only for a lab that is yours.
        web: serve Locust's own page on this port of this machine, 0 for a free one; ``LoadRun.web`` is its URL.
        generators: may have one prepared.

    Raises:
        UsageError: no such journey, or one that cannot be imported; a host that is not this machine.
        MissingExtraError: Locust or pyarrow is not installed.
        LoadError: the generator did not start; the message has its last words.
    """
    check_host(host, allow_remote=allow_remote)
    for module in ("locust", "pyarrow"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, "load")
    if seed is not None:
        profile = profile.model_copy(update={"seed": seed})
    journey = find_journey(profile.journey)
    progress(f"load: {profile.label}")
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    for part in range(profile.workers):
        live_file(folder, part).unlink(missing_ok=True)
    said = partial(
        specification,
        profile,
        host=host.rstrip("/"),
        journey=journey,
        folder=folder,
        users=users,
        admin_token=admin_token,
        web=web,
    )
    with ExitStack() as opened:
        processes: list[GeneratorProcess] = []
        opened.callback(_kill, processes)
        run = _started(profile, folder, said, processes, generators or Generators())
        import pyarrow  # noqa: F401  # needed at the end; imported while there is nothing to do but wait

        run.wait_for_start()
        processes.clear()  # the run's from here on
    return run


def _kill(processes: Iterable[GeneratorProcess]) -> None:
    for process in processes:
        process.kill()


def _started(
    profile: LoadProfile,
    folder: Path,
    said: Callable[..., dict[str, Any]],
    processes: list[GeneratorProcess],
    generators: Generators,
) -> LoadRun:
    """Start the generator, or Locust's master and then its workers; enter each into ``processes`` at once."""
    if profile.workers == 1:
        processes.append(generators.take())
        processes[0].begin(said(), folder / LOG_FILE)
        return LoadRun(profile, folder, processes)
    master = GeneratorProcess(module="master")
    processes.append(master)
    master.begin(said(part=MASTER), folder / "master.log")
    port, page = _master_port(master)
    for part in range(profile.workers):
        worker = generators.take()
        processes.append(worker)
        worker.begin(
            said(web=None, part=part, master=port), folder / f"{LOG_FILE.removesuffix('.log')}{suffix(part)}.log"
        )
    return LoadRun(profile, folder, processes[1:], master=master, web=page)


def _master_port(master: GeneratorProcess) -> tuple[int, str]:
    """Return the port on which the master hears its workers, and the URL of its page, if it has one."""
    until = time.monotonic() + START_DEADLINE
    while (left := until - time.monotonic()) > 0:
        news = master.listen(left)
        if news is None:
            raise LoadError(master.last_words())
        for item in news:
            if "error" in item:
                raise (UsageError if item["usage"] else LoadError)(item["error"])
            if "master" in item:
                return item["master"], item.get("web", "")
    raise LoadError(f"Locust's master did not start within {START_DEADLINE:g}s")
