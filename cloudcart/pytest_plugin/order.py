"""The order of scenarios: those that need a shop with the same settings follow each other, so that it is started once.

Only tests that need a lab are moved, and only into each other's places; all others stay where they are. Within a group
the order stays as it was, and groups come in the order of their first test. Imported when there is something to group.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import pytest

from cloudcart.exceptions import CloudCartError
from cloudcart.pytest_plugin.markers import MARKERS

Key = Callable[[pytest.Item], Hashable]


def settings_of(item: pytest.Item) -> Hashable:
    """Return the settings that a test's markers ask of a lab; nothing if they make no sense, which its own run says."""
    from cloudcart.experiment.scenario import experiment_from_markers

    marks = [mark for mark in reversed(list(item.iter_markers())) if mark.name in MARKERS]
    try:
        return frozenset(experiment_from_markers(item.name, "", marks).lab_settings.items())
    except (CloudCartError, TypeError, ValueError, AttributeError, IndexError):
        return None


def grouped(items: Sequence[pytest.Item], of_ours: Callable[[pytest.Item], bool], key: Key) -> list[pytest.Item]:
    """Return the items with ours grouped by a key, in the places that ours had."""
    ours = [item for item in items if of_ours(item)]
    keys = {item: key(item) for item in ours}
    first = {found: place for place, found in reversed(list(enumerate(keys.values())))}
    moved = iter(sorted(ours, key=lambda item: first[keys[item]]))
    return [next(moved) if item in keys else item for item in items]
