"""What a shell offers when Tab is pressed: names of faults, targets, settings, labs, scenarios.

Called by click while somebody types; each function imports what it needs. Not here: commands and options, which click
offers by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

Completion = Callable[[click.Context, click.Parameter, str], list[str]]


def offer(names: Callable[[], Iterable[str]]) -> Completion:
    """Return what click calls: those of ``names`` that begin as what was typed."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def kinds() -> Iterable[str]:
    """Kinds of fault."""
    from cloudcart.faults import FAULTS

    return FAULTS


def targets() -> Iterable[str]:
    """Services; a route or a link is for who types on."""
    from cloudcart.settings import SERVICES

    return SERVICES


def settings() -> Iterable[str]:
    """Settings, up to and with the equal sign."""
    from cloudcart.settings import describe_settings

    return (f"{setting.name}=" for setting in describe_settings())


def labs() -> Iterable[str]:
    """Labs that run."""
    from cloudcart.lab import list_labs

    return list_labs()


def scenarios() -> Iterable[str]:
    """Scenarios by name."""
    from cloudcart.experiment import list_scenarios

    return (path.stem.removeprefix("test_") for path in list_scenarios())


def journeys() -> Iterable[str]:
    """Journeys by name."""
    from cloudcart.load import list_journeys

    return list_journeys()
