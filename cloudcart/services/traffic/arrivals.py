"""When visitors come, and of which kind; a pure function of settings and seed.

Arrivals are those of a Poisson process, so that they are as uneven as people are; now and then comes a burst.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from cloudcart.settings import Traffic


class Kind(StrEnum):
    """What a visitor has come for."""

    BROWSE = "browse"
    BUY = "buy"
    TRACK = "track"
    REGISTER = "register"
    LOGIN = "login"
    MISTAKE = "mistake"


_SHARES: Final = {Kind.BROWSE: 50, Kind.BUY: 28, Kind.TRACK: 16, Kind.REGISTER: 3, Kind.LOGIN: 3}
"""How often each kind comes, of visitors who make no mistake."""


class Arrival(NamedTuple):
    """One visitor: ``due`` is in seconds since the first could have come."""

    due: float
    kind: Kind
    in_burst: bool


def arrivals(traffic: Traffic, draw: random.Random) -> Iterator[Arrival]:
    """Yield visitors for ever, in the order in which they come.

    Rates are taken at the arrival before, so that a burst begins with the first visitor in it.
    """
    now = 0.0
    while True:
        now += draw.expovariate(traffic.rate * (traffic.burst_factor if in_burst(traffic, now) else 1.0))
        mistaken = draw.random() < traffic.mistakes
        kind = Kind.MISTAKE if mistaken else draw.choices(list(_SHARES), list(_SHARES.values()))[0]
        yield Arrival(now, kind, in_burst(traffic, now))


def in_burst(traffic: Traffic, moment: float) -> bool:
    """Say whether a burst is on: each period ends with one."""
    return moment % traffic.burst_every >= traffic.burst_every - traffic.burst_length
