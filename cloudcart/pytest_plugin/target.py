"""The fixtures for experiments on a service of one's own: a control plane for it to follow, and the service as a lab.

A suite overrides ``cloudcart_target_settings`` to say where its service is, and ``cloudcart_lab`` to return
``cloudcart_target``; then markers, ``cloudcart_run``, ``cloudcart_load`` and the report work as with the shop. See
``docs/your-own-service.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

import pytest

from cloudcart.exceptions import UsageError

if TYPE_CHECKING:
    from cloudcart.lab.target import Target
    from cloudcart.signals import MetricNames


class TargetSettings(TypedDict, total=False):
    """Where the service is.

    ``base_url`` is where clients reach it, ``service`` what targets of faults call it. ``metrics_url`` defaults to
    ``/metrics`` of the base URL, and is empty for a service without metrics; ``metrics`` says which of them tells what,
    by a library's name or as MetricNames. ``wake`` is a path that is asked for until the service follows the control
    plane, which a middleware alone begins to do with its first request.
    """

    base_url: str
    service: str
    metrics_url: str
    metrics: str | MetricNames
    wake: str


@pytest.fixture(scope="session")
def cloudcart_control_plane() -> Iterator[str]:
    """The URL of a control plane of faults: start the service with it as ``CLOUDCART_CHAOS_URL``."""
    from cloudcart.lab.target import control_plane

    with control_plane() as url:
        yield url


@pytest.fixture(scope="session")
def cloudcart_target_settings() -> TargetSettings:
    """Where the service is; override this fixture."""
    raise UsageError("override the fixture cloudcart_target_settings: return {'base_url': .., 'service': ..}")


@pytest.fixture
def cloudcart_target(cloudcart_target_settings: TargetSettings, cloudcart_control_plane: str) -> Iterator[Target]:
    """The service as a lab: nothing broken; healed again afterwards."""
    from cloudcart.lab.target import Target
    from cloudcart.signals.conventions import metric_names

    given = cloudcart_target_settings
    names = given.get("metrics", "prometheus-client")
    target = Target(
        given["base_url"],
        service=given.get("service", "app"),
        metrics_url=given.get("metrics_url", given["base_url"]),
        chaos_url=cloudcart_control_plane,
        names=metric_names(names) if isinstance(names, str) else names,
        wake=given.get("wake", ""),
    )
    target.reset()
    try:
        yield target
    finally:
        target.heal()
        target.close()
