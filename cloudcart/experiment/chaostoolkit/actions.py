"""What each action of Chaos Toolkit means: finds who knows its extension, its program or its URL.

Called for each action in order by :func:`cloudcart.experiment.chaostoolkit.import_chaostoolkit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cloudcart.experiment.chaostoolkit import kubernetes, programs, toxiproxy
from cloudcart.experiment.chaostoolkit.activities import Activity
from cloudcart.experiment.chaostoolkit.meanings import Meaning, Names, Unknown, Waits


def meaning(action: Activity, names: Names) -> Meaning:
    """Return what an action means."""
    if action.provider == "http":
        return toxiproxy.api_call(action, names)
    if action.provider == "process":
        return programs.program(action, names)
    module, _, function = action.does.rpartition(".")
    extension = EXTENSIONS.get(module)
    if extension is None:
        return Unknown(f"the module {module} is not known here", "a fault of 'cloudcart faults'")
    return extension(function, action, names)


def _time(function: str, action: Activity, _names: Names) -> Meaning:
    seconds = action.number("secs", action.number("seconds", action.number("duration")))
    return Waits(seconds) if function == "sleep" else Unknown(f"time.{function} does nothing here", "nothing")


EXTENSIONS: Final[Mapping[str, Callable[[str, Activity, Names], Meaning]]] = {
    "chaosk8s.actions": kubernetes.deployments,
    "chaosk8s.chaosmesh.network.actions": kubernetes.network,
    "chaosk8s.chaosmesh.stress.actions": kubernetes.stress,
    "chaosk8s.deployment.actions": kubernetes.deployments,
    "chaosk8s.pod.actions": kubernetes.pods,
    "chaostoxi.proxy.actions": toxiproxy.proxy,
    "chaostoxi.toxic.actions": toxiproxy.toxic,
    "time": _time,
}
"""Module of an extension to what its functions mean."""
