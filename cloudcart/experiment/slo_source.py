"""Where service levels to export come from: a run, a scenario, or a file of service-level objectives.

Not what they are (``signals.service_level``). Called by ``cloudcart export``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cloudcart.exceptions import UsageError
from cloudcart.experiment.scenario import find_scenario, load_scenario
from cloudcart.signals import Objective, ServiceLevel, parse_period, service_levels
from cloudcart.signals.service_level import PERIOD

_FIELDS: Final = ("name", "objective", "service", "route", "slo", "period")
_EXAMPLE: Final = "slos: [{name: check-out works, objective: errors < 0.1%, route: POST /api/orders, period: 30d}]"


def levels_of(source: str, *, period: float = PERIOD, time_scale: float = 1.0) -> list[ServiceLevel]:
    """Return the service levels that a run's folder, a scenario or a YAML file of them says.

    Args:
        source: path of a run, name or path of a scenario, or path of a YAML file with a list ``slos``.
        period: seconds, where the source names none.
        time_scale: how many times faster than real time periods and windows run.

    Raises:
        UsageError: there is no such thing, or nothing in it is about single requests.
    """
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        found = list(_of_file(path, period, time_scale))
    elif (path if path.name == "run.json" else path / "run.json").is_file():
        found = service_levels(_objectives_of_run(path), period=period, time_scale=time_scale)
    else:
        scenario = load_scenario(find_scenario(source))
        found = service_levels(scenario.objectives, period=period, time_scale=time_scale, prefix=scenario.name)
    if not found:
        raise UsageError(f"{source} has no objective on single requests, as 'errors < 1%' or 'p99 < 2s'")
    return found


def _objectives_of_run(path: Path) -> Iterator[Objective]:
    run = json.loads((path if path.name == "run.json" else path / "run.json").read_text())
    for found in run["objectives"]:
        scope = {name: found.get(name) for name in ("service", "route", "name", "source", "slo")}
        if found["source"] == "client":
            scope["service"] = None
        yield Objective.parse(found["objective"], **scope)


def _of_file(path: Path, period: float, time_scale: float) -> Iterator[ServiceLevel]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    entries = document.get("slos") if isinstance(document, Mapping) else None
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UsageError(f"{path}: write a list of service levels, like {_EXAMPLE}")
    for number, entry in enumerate(entries, 1):
        try:
            yield _level(entry, period, time_scale)
        except UsageError as error:
            raise UsageError(f"{path}: number {number}: {error}") from None


def _level(entry: Mapping[str, Any], period: float, time_scale: float) -> ServiceLevel:
    if unknown := [name for name in entry if name not in _FIELDS]:
        raise UsageError(f"there is no field {unknown[0]!r}; choose from {', '.join(_FIELDS)}")
    scope = {name: entry[name] for name in ("service", "route", "slo") if name in entry}
    objective = Objective.parse(entry.get("objective", ""), **scope)
    own = parse_period(str(entry["period"])) if "period" in entry else period
    level = ServiceLevel.of(objective, period=own, time_scale=time_scale, name=str(entry.get("name", "")))
    if level is None:
        raise UsageError(f"{objective.text} is not about single requests; write 'errors < 1%' or 'p99 < 2s'")
    return level
