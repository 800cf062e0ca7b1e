"""The one process in which Locust lives: ``python -m cloudcart.load.generator``.

It waits for a specification, loads the journey, gives load until its time is over or it is told to stop, and writes a
row for every request. Its parent (``runner``) holds the other end of its standard input. Never import this module: that
patches the process.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import resource
import sys
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.pool import Pool
from locust.env import Environment

from cloudcart.exceptions import CloudCartError, UsageError
from cloudcart.load.control import Control, receive_specification
from cloudcart.load.journey import UNANSWERED, Account, Journey, Supplies
from cloudcart.load.journey_file import load_journey, where_and_what
from cloudcart.load.models import ClosedModel, OpenModel
from cloudcart.load.page import LOOPBACK, serve_page
from cloudcart.load.profile import LoadProfile
from cloudcart.load.rows import Row, RowWriter
from cloudcart.load.specification import DRAIN
from cloudcart.load.tally import Tally

FLUSH_INTERVAL: Final = 0.05
"""Seconds between two writes of rows: at most so much is lost when this process is killed."""

_GRACE: Final = 30.0  # seconds of start and end beyond which a generator that hangs ends itself
_SELF_REGISTERED: Final = 20  # accounts where none were prepared: hashing a password costs the shop 50 ms


def main() -> int:
    """Run one specification; return the exit code (0: it ran, 2: it cannot)."""
    spec, heard = receive_specification()
    profile = LoadProfile.model_validate(spec["profile"])
    rows = RowWriter(Path(spec["rows"]))
    control = Control(heard, at_end=rows.flush, seconds=profile.duration + DRAIN + _GRACE, drain=DRAIN)
    try:
        generator = Generator(profile, spec["host"], Path(spec["journey"]), rows, spec["part"], spec["master"])
        if spec["web"] is not None:
            control.tell(web=generator.show_on_the_web(spec["web"]))
        generator.prepare([Account(*user) for user in spec["users"]], spec["admin_token"])
    except CloudCartError as error:
        control.tell(error=str(error), usage=isinstance(error, UsageError))
        return 2
    generator.run(control)
    return 0


class Generator:
    """One run, or one worker's part of it: a journey, a model of arrivals, and their books.

    Raises:
        UsageError: the journey cannot be used; the sentence names file and line.
    """

    def __init__(
        self,
        profile: LoadProfile,
        host: str,
        file: Path,
        rows: RowWriter,
        part: int = 0,
        master: int | None = None,
    ) -> None:
        supplies = Supplies(
            seed=profile.seed,
            timeout=profile.timeout,
            numbers=itertools.count(1 + part, profile.workers),
            spare=itertools.count(part, profile.workers),
        )
        self._profile, self._file, self._rows, self._supplies = profile, file, rows, supplies
        self._tally = Tally(rows, supplies.clock)
        supplies.record, supplies.refused = self._record, self._tally.refused
        self._journey = load_journey(file)
        self._journey.supplies, self._journey.host = supplies, host
        self._environment = Environment(user_classes=[self._journey], host=host)
        self._environment.events.user_error.add_listener(self._broke_off)
        if master is not None:
            self._environment.create_worker_runner(LOOPBACK, master)
        kind = ClosedModel if profile.model == "closed" else OpenModel
        self._model: ClosedModel | OpenModel = kind(profile, self._journey, self._environment, self._tally, part)

    def prepare(self, accounts: list[Account], admin_token: str) -> None:
        """Have accounts before the clock starts: those given, or a few registered through the API.

        Raises:
            UsageError: the journey is an admin's, and no token was given.
            LoadError: the platform registers nobody.
        """
        self._supplies.admin_token = admin_token
        if self._journey.needs_admin:
            if not admin_token:
                raise UsageError(f"{self._file.name} is an admin's journey; hand in admin_token=lab.token('admin')")
        elif self._journey.needs_account and not accounts:
            count = min(_SELF_REGISTERED, self._profile.users_needed)
            accounts = Pool(4).map(Journey.register, [self._journey(self._environment) for _ in range(count)])
        self._supplies.accounts = accounts

    def show_on_the_web(self, port: int) -> str:
        """Serve Locust's own page; see :func:`~cloudcart.load.page.serve_page`."""
        if self._environment.runner is None:
            self._environment.create_local_runner()
        return serve_page(self._environment, port)

    def run(self, control: Control) -> None:
        """Give load, let it end, tell the parent how it was."""
        _raise_file_limit()
        gc.collect()
        gc.freeze()  # what is there by now stays; collections need not look at it again
        flusher = gevent.spawn(self._flush_forever)
        begin = control.wait_for_start() if self._profile.workers > 1 else 0.0
        control.stop_asked.wait(max(0.0, begin - self._supplies.clock()))
        started = self._tally.start(begin)
        gevent.spawn_later(self._profile.warmup, self._tally.measure)
        control.tell(started=started)
        self._model.run(started, control.stop_asked)
        self._tally.end()
        self._model.drain(control.drain)
        flusher.kill()
        self._rows.flush()
        control.tell(report=self._tally.report(self._model.visitors).as_dict())

    def _record(self, row: Row) -> None:
        (self._tally.given_up if row.error == UNANSWERED else self._tally.record)(row)

    def _broke_off(self, user_instance: Any, exception: BaseException, tb: Any) -> None:
        del user_instance, tb  # Locust passes them by name
        why = f"{self._file.name} {where_and_what(exception, self._file)}"
        logging.getLogger(__name__).error("visit broken off: %s", why)
        self._tally.failed(why)

    def _flush_forever(self) -> None:
        while True:
            gevent.sleep(FLUSH_INTERVAL)
            self._rows.flush()


def _raise_file_limit() -> None:
    """Allow as many connections as the system lets us have: each visitor keeps one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # nothing is left to do, and taking the interpreter down in order costs 50 ms
