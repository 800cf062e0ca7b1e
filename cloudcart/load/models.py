"""How visits come about: at moments of their own (open model), or one after the other for each user (closed model).

Both run a journey's visits until told to stop and then let those under way end. Called by ``generator`` only.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.pool import Group
from locust import constant_pacing
from locust.exception import RescheduleTask, RescheduleTaskImmediately, StopUser

from cloudcart.load.arrivals import arrival_times
from cloudcart.load.journey import Journey
from cloudcart.load.profile import LoadProfile
from cloudcart.load.rows import Row
from cloudcart.load.tally import Tally

NEVER_SENT: Final = "never sent: every visitor was busy until the load ended"
_QUIET_END: Final = (RescheduleTask, RescheduleTaskImmediately, StopUser)
_KILL_PATIENCE: Final = 2.0  # seconds that visits get to record what they were waiting for


class OpenModel:
    """Arrivals at moments fixed beforehand, whatever becomes of the visits before: a stall stays visible.

    Each arrival takes a visitor that is idle, or a new one; beyond the bound it waits for one, and its time counts from
    when it was due all the same.
    """

    def __init__(
        self, profile: LoadProfile, journey: type[Journey], environment: Any, tally: Tally, part: int = 0
    ) -> None:
        self._profile, self._journey, self._environment, self._tally = profile, journey, environment, tally
        self._part = part
        self._clock = journey.supplies.clock
        self._idle: list[Journey] = []
        self._waiting: deque[tuple[int, float]] = deque()
        self._visits = Group()
        self._bound = math.ceil(profile.visitors_bound / profile.workers)
        self.visitors = 0

    def run(self, started: float, stop_asked: Event) -> None:
        """Send visitors from ``started`` (unix seconds) until the profile is done or a stop is asked for."""
        arrivals = enumerate(arrival_times(self._profile), 1)
        for number, offset in itertools.islice(arrivals, self._part, None, self._profile.workers):
            due = started + offset
            while (left := due - self._clock()) > 0:
                stop_asked.wait(left)
                if stop_asked.is_set():
                    return
            self._arrive(number, due)
            if left < -0.001:  # behind: without a wait, visits under way would never get their turn
                gevent.sleep(0)
        stop_asked.wait(max(0.0, started + self._profile.duration - self._clock()))

    def drain(self, seconds: float) -> None:
        """Let visits under way end, for so long; give up the rest. Every arrival has its rows afterwards."""
        self._visits.join(timeout=seconds)
        waiting, self._waiting = self._waiting, deque()
        self._visits.kill(block=True, timeout=_KILL_PATIENCE)
        now, name = self._clock(), self._journey.__name__.lower()
        for number, due in waiting:
            self._tally.given_up(
                Row(due, now, now, "(never sent)", name, number, 1, 0, NEVER_SENT, "", "", f"{name}/{number}/1")
            )

    def _arrive(self, number: int, due: float) -> None:
        if self._idle:
            self._visits.spawn(self._serve, self._idle.pop(), number, due)
        elif self.visitors < self._bound:
            self.visitors += 1
            self._visits.spawn(self._welcome, number, due)
        else:
            self._tally.waited()
            self._waiting.append((number, due))

    def _welcome(self, number: int, due: float) -> None:
        visitor = self._journey(self._environment)
        if self._guarded(visitor, visitor.on_start):
            self._serve(visitor, number, due)
        else:
            self.visitors -= 1

    def _serve(self, visitor: Journey, number: int, due: float) -> None:
        self._tally.begun(self._clock() - due)
        self._guarded(visitor, lambda: visitor.arrive_at(due, number))
        while self._waiting:
            later, its_due = self._waiting.popleft()
            self._guarded(visitor, lambda: visitor.arrive_at(its_due, later))  # noqa: B023  # called at once
        self._idle.append(visitor)

    def _guarded(self, visitor: Journey, act: Callable[[], None]) -> bool:
        """Do as Locust does: a visit that ends early is none of our business, an exception is reported and survived."""
        try:
            act()
        except _QUIET_END:
            pass
        except Exception as error:
            self._environment.events.user_error.fire(user_instance=visitor, exception=error, tb=error.__traceback__)
            return False
        return True


class ClosedModel:
    """Locust's own loop: so many users, each begins its next visit when the last has ended."""

    def __init__(
        self, profile: LoadProfile, journey: type[Journey], environment: Any, tally: Tally, part: int = 0
    ) -> None:
        del tally  # it has nothing to say: no visit is ever late where none is due
        journey.wait_time = constant_pacing(profile.pacing)
        self._profile, self._environment = profile, environment
        self._runner = environment.runner or environment.create_local_runner()
        self._shared = profile.workers > 1  # then Locust's master starts this worker's users
        self.visitors: int = len(range(part, profile.users or 0, profile.workers))

    def run(self, started: float, stop_asked: Event) -> None:
        """Keep users visiting until the profile is done or a stop is asked for."""
        if not self._shared:
            self._runner.start(self.visitors, self._profile.spawn_rate)
        clock: Callable[[], float] = self._runner.user_classes[0].supplies.clock
        stop_asked.wait(max(0.0, started + self._profile.duration - clock()))

    def drain(self, seconds: float) -> None:
        """Let visits under way end, for so long; give up the rest."""
        self._environment.stop_timeout = seconds
        self._runner.quit()
