"""What an experiment is: frozen values that say what to claim, what load to give, what to break and when.

The defaults do nothing: no load, no fault, no objective. Executing one is ``run.py``; where it runs is up to the lab.
Made by the pytest plugin and the command line from a scenario's markers (``scenario.py``), or by hand.
"""

from __future__ import annotations

from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cloudcart.exceptions import UsageError
from cloudcart.faults import Fault, parse_fault
from cloudcart.load import LoadProfile
from cloudcart.signals import Objective, Window
from cloudcart.units import Duration, Share, defaults_as_text

TTL_MARGIN = 5.0
"""Seconds by which a scheduled fault's time to live exceeds its duration: the schedule heals it, the TTL is the net."""

_ONLY_AFTERWARDS: Final = {
    "recovery": "is known only after the last heal",
    "alert": "is counted from the first fault, not over two seconds",
    "memory_growth": "is what a whole phase adds, not two seconds of it",
    "lag_end": "is about a phase's end; 'lag' can be watched meanwhile",
}
"""Signals that nobody can read over the last two seconds of a run that goes on, and why."""


class ScheduledFault(BaseModel):
    """A fault and when it acts, in seconds from the start of load."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=defaults_as_text)

    fault: Fault
    start: Duration = Field(0.0, description="from the start of load to injection")
    duration: Duration = Field(10.0, gt=0, description="from injection to heal")

    @property
    def end(self) -> float:
        """Seconds from the start of load to heal."""
        return self.start + self.duration


class Experiment(BaseModel):
    """A definition; one execution of it is a :class:`~cloudcart.experiment.run.Run`."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=defaults_as_text)

    name: str
    claim: str = ""
    load: LoadProfile | None = None
    faults: tuple[ScheduledFault, ...] = ()
    objectives: tuple[Objective, ...] = ()
    steady: tuple[Objective, ...] = Field((), description="must hold before the first fault, else nothing is concluded")
    abort_if: tuple[Objective, ...] = Field(
        (), description="broken over two seconds while a fault acts: heal at once and stop"
    )
    settings: dict[str, str] = Field(default_factory=dict, description="settings of the shop that this is about")
    seed: int = Field(0, ge=0)
    time_scale: float = Field(1.0, gt=0, description="how many times faster SLO periods and burn-rate windows run")
    control: Share = Field(0.0, lt=1, description="share of visits that no fault hits, to compare the others with")
    recovery_deadline: Duration = Field(10.0, description="how long to wait after the last heal for steady state")

    @model_validator(mode="after")
    def _faults_end_before_the_load(self) -> Self:
        if not self.faults:
            return self
        if self.load is None:
            raise UsageError(f"{self.name}: a fault without load shows nothing; add a cloudcart_load marker")
        for scheduled in self.faults:
            if scheduled.end > self.load.duration:
                raise UsageError(
                    f"{self.name}: {scheduled.fault.label} ends {scheduled.end:g}s after the start, but the load lasts "
                    f"{self.load.duration:g}s; lengthen the load or shorten the fault"
                )
            if scheduled.start < self.load.warmup:
                raise UsageError(
                    f"{self.name}: {scheduled.fault.label} starts at {scheduled.start:g}s, within the warm-up of "
                    f"{self.load.warmup:g}s; start it later"
                )
        return self

    @model_validator(mode="after")
    def _guard_rails_can_be_read(self) -> Self:
        for objective in self.abort_if:
            if why := _unguarded(objective):
                raise UsageError(f"{self.name}: {objective.text} cannot be a guard rail (abort_if): {why}")
        return self

    @model_validator(mode="after")
    def _one_control_arm(self) -> Self:
        shares = {item.fault.control or self.control for item in self.faults}
        if len(shares) > 1:
            raise UsageError(f"{self.name}: all faults spare the same visits; give control once, with the load")
        for item in self.faults if self.control else ():  # refuses where visits are not known
            parse_fault({**item.fault.document(), "control": self.control}, services=None)
        return self

    @property
    def control_share(self) -> float:
        """The share of visits that every fault spares, 0 for none: given with the load, or with each fault."""
        return max((item.fault.control or self.control for item in self.faults), default=0.0)

    @property
    def lab_settings(self) -> dict[str, str]:
        """The settings to start the lab with: no rate limit, unless the scenario is about it; links, if they fail."""
        links = {"chaos.links": "on"} if any(item.fault.place == "link" for item in self.faults) else {}
        return {"gateway.rate_limit": "off", **links, **self.settings}

    @property
    def load_seconds(self) -> float:
        """How long the load lasts."""
        return self.load.duration if self.load else 0.0

    def seeded(self, fault: Fault) -> Fault:
        """Return the fault as this run injects it: with a seed, its control arm, a TTL that outlives its schedule."""
        scheduled = next(item for item in self.faults if item.fault is fault)
        ttl = fault.ttl if "ttl" in fault.model_fields_set else scheduled.duration + TTL_MARGIN
        seed = self.seed if fault.seed is None else fault.seed
        return fault.model_copy(update={"ttl": ttl, "seed": seed, "control": self.control_share})

    def phases(self, started: float) -> tuple[Window, ...]:
        """Return warm-up, steady, fault and recovery as planned for a load that started at ``started`` (unix seconds).

        Without faults there is only warm-up and steady.
        """
        if self.load is None:
            return ()
        warm, end = started + self.load.warmup, started + self.load.duration
        if not self.faults:
            return (Window(started, warm, "warmup"), Window(warm, end, "steady"))
        broken = started + min(item.start for item in self.faults)
        healed = started + max(item.end for item in self.faults)
        return (
            Window(started, warm, "warmup"),
            Window(warm, broken, "steady"),
            Window(broken, healed, "fault"),
            Window(healed, end, "recovery"),
        )


def _unguarded(objective: Objective) -> str:
    """Say why an objective cannot be watched over two seconds while a run goes on; empty if it can."""
    if objective.signal in _ONLY_AFTERWARDS:
        return f"{objective.signal} {_ONLY_AFTERWARDS[objective.signal]}; write it as an objective"
    if objective.source == "prometheus":
        return "a Prometheus server looks too seldom to tell two seconds; write source='scrape'"
    if objective.phase in ("steady", "recovery"):
        return f"it is watched while faults act, not in the {objective.phase} phase; leave phase out"
    return ""
