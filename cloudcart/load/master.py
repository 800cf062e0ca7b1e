"""Locust's own master for several generators: ``python -m cloudcart.load.master``.

It tells the users of the closed model which worker they belong to, and adds up what the workers' Locusts count, for
Locust's page. Arrivals of the open model have numbers and moments, of which Locust knows nothing: each worker takes its
part of them by itself. Rows go from the workers to the parent, never through here.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import gevent
from locust.env import Environment

from cloudcart.exceptions import CloudCartError, LoadError, UsageError
from cloudcart.load.control import Control, receive_specification
from cloudcart.load.journey_file import load_journey
from cloudcart.load.page import LOOPBACK, serve_page
from cloudcart.load.profile import LoadProfile
from cloudcart.load.specification import DRAIN

_GRACE: Final = 60.0  # seconds beyond the load after which a master that nobody ends is ended
_DEADLINE: Final = 50.0  # seconds for all workers to report; sooner than the parent loses patience
_LOOK: Final = 0.02


def main() -> int:
    """Serve one load; return the exit code (0: it ran, 2: it cannot)."""
    spec, heard = receive_specification()
    profile = LoadProfile.model_validate(spec["profile"])
    control = Control(heard, at_end=lambda: None, seconds=profile.duration + DRAIN + _GRACE, drain=DRAIN)
    try:
        runner = _runner(spec, control)
        _wait_for_workers(runner, profile.workers)
    except CloudCartError as error:
        control.tell(error=str(error), usage=isinstance(error, UsageError))
        return 2
    begin = control.wait_for_start()
    control.stop_asked.wait(max(0.0, begin - time.time()))
    if profile.users is not None:
        runner.start(profile.users, profile.spawn_rate)
    control.stop_asked.wait(max(0.0, begin + profile.duration - time.time()))
    control.stop_asked.wait()  # stays for the page until it is ended
    return 0


def _runner(spec: dict[str, Any], control: Control) -> Any:
    """Return a master that listens on a port of its own, which the parent is told."""
    journey = load_journey(Path(spec["journey"]))
    environment = Environment(user_classes=[journey], host=spec["host"])
    runner = environment.create_master_runner(LOOPBACK, 0)
    page = {} if spec["web"] is None else {"web": serve_page(environment, spec["web"])}
    control.tell(master=runner.server.port, **page)
    return runner


def _wait_for_workers(runner: Any, workers: int) -> None:
    with gevent.Timeout(_DEADLINE, LoadError(f"not all of the {workers} workers reported within {_DEADLINE:g} s")):
        while len(runner.clients.ready) < workers:
            gevent.sleep(_LOOK)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)
