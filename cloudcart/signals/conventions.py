"""Which metric tells what, for services that are not the shop's: the conventions of common libraries.

Chosen by name in the fixture ``cloudcart_target``; a service with conventions of its own gives its own
:class:`~cloudcart.signals.metric_source.MetricNames`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cloudcart.exceptions import UsageError
from cloudcart.signals.metric_source import CLOUDCART, MetricNames

CONVENTIONS: Final[Mapping[str, MetricNames]] = MappingProxyType(
    {
        "cloudcart": CLOUDCART,
        "prometheus-client": MetricNames(route="path"),
        "prometheus-fastapi-instrumentator": MetricNames(route="handler"),
        "starlette-exporter": MetricNames(
            requests="starlette_requests_total",
            duration="starlette_request_duration_seconds",
            route="path",
            status="status_code",
        ),
    }
)
"""Name of a library to its conventions, as it comes without options."""


def metric_names(name: str) -> MetricNames:
    """Return the conventions of a library.

    Raises:
        UsageError: they are not known; the message lists those that are.
    """
    if name not in CONVENTIONS:
        known = ", ".join(CONVENTIONS)
        raise UsageError(f"there are no metric names of {name!r}; choose from {known}, or give MetricNames(..)")
    return CONVENTIONS[name]
