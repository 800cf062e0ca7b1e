"""How much load, of what kind, for how long: a frozen value, checked before anything starts.

Not what a visitor does (that is a journey, in ``loadtests/``) and not when each one comes (``arrivals``). Made by the
pytest plugin from a marker, by the command line from options, or by hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from cloudcart.exceptions import UsageError
from cloudcart.units import Duration, defaults_as_text, format_duration, parse_duration

MAX_ARRIVALS: Final = 10_000_000
"""Visits of one run at most: load is bounded in time and in number."""

MAX_VISITORS: Final = 5_000
"""Visitors that the open model keeps at the same time unless told otherwise; each costs a connection."""

Rate = Annotated[float, Field(ge=0, le=20_000)]
"""Arrivals per second."""


class Stage(NamedTuple):
    """A part of a staged profile: ``rate`` arrivals per second for ``duration`` seconds."""

    duration: Annotated[Duration, Field(gt=0)]
    rate: Rate


class LoadProfile(BaseModel):
    """The load of one run.

    Say exactly one of ``rate`` (open model: visits arrive at that rate, whatever becomes of the ones before), ``users``
    (closed model: so many users, each begins the next visit when the last has ended) and ``stages`` (open model, with a
    rate that changes).

    Raises:
        UsageError: values that make no sense together; the sentence says what to write instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=defaults_as_text)

    journey: str = Field(description="name of a file in loadtests/, or a path")
    model: Literal["open", "closed", "staged"] = Field(description="follows from rate, users or stages")
    rate: Rate | None = Field(None, gt=0, description="arrivals per second")
    users: int | None = Field(None, ge=1, le=MAX_VISITORS, description="users of the closed model")
    spawn_rate: float = Field(100.0, gt=0, le=1_000, description="closed model: users started per second")
    pacing: Duration = Field(
        1.0, description="closed model: from a user's visit to the next, unless visits last longer"
    )
    stages: tuple[Stage, ...] = Field((), description="(duration, rate) one after the other")
    duration: Duration = Field(60.0, gt=0, le=86_400, description="from the first arrival to the end, warm-up included")
    warmup: Duration = Field(0.0, description="cut off from what is measured")
    arrivals: Literal["constant", "poisson"] = Field("constant", description="evenly spaced, or each independent")
    timeout: Duration = Field(10.0, gt=0, le=600, description="how long a visitor waits for one answer")
    workers: int = Field(1, ge=1, le=64, description="generator processes that share the load")
    max_visitors: int = Field(0, ge=0, le=100_000, description="open model: visitors at a time at most; 0: enough")
    seed: int = Field(0, ge=0, description="chooses products, quantities and the moments of Poisson arrivals")

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Fill in what follows from the rest; turn pydantic's list of errors into one sentence."""
        try:
            profile = handler(_completed(values) if isinstance(values, Mapping) else values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "profile"
            raise UsageError(f"load profile: {where}: {first['msg'].removeprefix('Value error, ')}") from None
        _check_sense(profile)
        return profile

    @property
    def course(self) -> tuple[Stage, ...]:
        """The open model's rate over time: ``stages``, or a single one; empty for the closed model."""
        if self.rate is not None:
            return (Stage(self.duration, self.rate),)
        return self.stages

    @property
    def peak_rate(self) -> float:
        """The highest rate of arrivals per second; 0 for the closed model, which promises none."""
        return max((stage.rate for stage in self.course), default=0.0)

    @property
    def visitors_bound(self) -> int:
        """Visitors at the same time at most: enough for all that arrive while one waits for an answer in vain."""
        if self.users is not None:
            return self.users
        return self.max_visitors or min(MAX_VISITORS, max(50, math.ceil(self.peak_rate * (self.timeout + 2))))

    @property
    def users_needed(self) -> int:
        """Accounts to prepare: one for each closed user; for arrivals, enough that each rests for about 5 s."""
        return self.users if self.users is not None else min(1_000, max(10, math.ceil(5 * self.peak_rate)))

    @property
    def label(self) -> str:
        """For people: ``checkout, 40 arrivals/s for 20s``."""
        journey = Path(self.journey).stem + (f" by {self.workers} workers" if self.workers > 1 else "")
        if self.users is not None:
            how = f"{self.users} users"
        elif self.stages:
            how = ", ".join(f"{stage.rate:g}/s for {format_duration(stage.duration)}" for stage in self.stages)
            return f"{journey}, {how}"
        else:
            how = f"{self.rate:g} arrivals/s"
        return f"{journey}, {how} for {format_duration(self.duration)}"


def _completed(given: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(given)
    if values.get("model") is None:
        values["model"] = "closed" if values.get("users") is not None else "staged" if values.get("stages") else "open"
    if values.get("stages") and values.get("duration") is None:
        values["duration"] = _length(values["stages"])
    return values


def _length(stages: Any) -> float:
    """Return the sum of durations; 1 where it cannot be told, so that validation names the stage that is wrong."""
    try:
        return sum(parse_duration(duration) for duration, _ in stages)
    except (TypeError, ValueError):
        return 1.0


def _check_sense(profile: LoadProfile) -> None:
    kinds = {"open": profile.rate is not None, "closed": profile.users is not None, "staged": bool(profile.stages)}
    if sum(kinds.values()) != 1 or not kinds[profile.model]:
        raise UsageError("load profile: say exactly one of rate= (open), users= (closed) and stages= (staged)")
    if profile.stages and not math.isclose(
        profile.duration,
        sum(stage.duration for stage in profile.stages),
        rel_tol=1e-4,  # as text it has six digits
    ):
        raise UsageError("load profile: stages last as long as they add up to; leave duration out")
    if profile.warmup >= profile.duration:
        raise UsageError(
            f"load profile: a warm-up of {format_duration(profile.warmup)} leaves nothing to measure of "
            f"{format_duration(profile.duration)}; make it shorter"
        )
    if profile.users is not None and profile.users < profile.workers:
        raise UsageError(f"load profile: {profile.users} users cannot be shared by {profile.workers} workers")
    visits = sum(stage.duration * stage.rate for stage in profile.course)
    if profile.course and not 1 <= visits <= MAX_ARRIVALS:
        raise UsageError(f"load profile: {visits:g} arrivals in all; make it 1 to {MAX_ARRIVALS:,}")
