"""``latency``: the exchange takes longer, then goes on as if nothing had happened."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final, Self

from pydantic import Field, model_validator

from cloudcart.faults.base import Exchange, Fault
from cloudcart.faults.contract import TIME_OF_LOOKS, Contract
from cloudcart.units import Duration, format_duration

_NORMAL: Final = NormalDist()
_Z99: Final = _NORMAL.inv_cdf(0.99)


class Latency(Fault):
    """A delay before the service sees the request: fixed, uniform, normal, or lognormal by its median and p99."""

    kind = "latency"
    place = "exchange"
    contract = Contract(
        "latency",
        "p50 grows by the delay's median",
        quantity=TIME_OF_LOOKS,
        at_least=0.1,
        shows_within=1.0,
        clears_within=1.0,
        example={"target": "products", "median": "200ms", "p99": "400ms"},
    )

    fixed: Duration | None = Field(None, description="always this delay")
    min: Duration | None = Field(None, description="uniform: least delay (with max)")
    max: Duration | None = Field(None, description="uniform: greatest delay (with min)")
    mean: Duration | None = Field(None, description="normal: mean delay (with stddev), cut off at zero")
    stddev: Duration | None = Field(None, description="normal: standard deviation (with mean)")
    median: Duration | None = Field(None, description="lognormal: half of the delays are shorter")
    p99: Duration | None = Field(None, description="lognormal: 1 % of the delays are longer; as median if not given")

    @model_validator(mode="after")
    def _one_distribution(self) -> Self:
        given = {
            name
            for name in ("fixed", "min", "max", "mean", "stddev", "median", "p99")
            if getattr(self, name) is not None
        }
        if given not in ({"fixed"}, {"min", "max"}, {"mean", "stddev"}, {"median"}, {"median", "p99"}):
            raise ValueError("give fixed, or min and max, or mean and stddev, or median (and p99)")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is greater than max")
        if self.median is not None and not 0 < self.median <= (self.median if self.p99 is None else self.p99):
            raise ValueError("median must be above zero and at most p99")
        return self

    def quantile(self, share: float) -> float:
        """Return the delay in seconds that a ``share`` of delays stay below (inverse of the distribution function).

        The lognormal's parameters follow from its quantiles: mu = ln(median), sigma = ln(p99 / median) / z(0.99).
        """
        if self.fixed is not None:
            return self.fixed
        if self.min is not None and self.max is not None:
            return self.min + share * (self.max - self.min)
        z = _NORMAL.inv_cdf(min(max(share, 1e-12), 1 - 1e-12))
        if self.mean is not None and self.stddev is not None:
            return max(0.0, self.mean + z * self.stddev)
        assert self.median is not None
        spread = 0.0 if self.p99 is None else math.log(self.p99 / self.median) / _Z99
        return self.median * math.exp(z * spread)

    async def act(self, exchange: Exchange) -> None:
        """Delay, then forward."""
        await exchange.delay(self.quantile(exchange.draw(1)))
        await exchange.forward()

    @property
    def label(self) -> str:
        """As ``+80ms on products``: the median."""
        return f"+{format_duration(round(self.quantile(0.5), 6))} on {self.aim}"
