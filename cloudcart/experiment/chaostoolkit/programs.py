"""Programs that experiments of Chaos Toolkit run: those that let time pass or stop a process by its name.

Called by ``actions``.
"""

from __future__ import annotations

import shlex
from typing import Final

from cloudcart.experiment.chaostoolkit.activities import Activity
from cloudcart.experiment.chaostoolkit.meanings import Begins, Ends, Meaning, Names, Unknown, Waits, unclear
from cloudcart.units import parse_duration


def program(action: Activity, names: Names) -> Meaning:
    """Return what a program means."""
    given = action.arguments.get("arguments", action.arguments)
    words = shlex.split(given) if isinstance(given, str) else [str(part) for pair in given.items() for part in pair]
    called, *rest = [*shlex.split(action.does.rpartition("/")[2]), *words]
    if called == "sleep" and rest:
        return Waits(parse_duration(rest[0] if rest[0][-1].isalpha() else float(rest[0])))
    verb = rest[0] if called in ("docker", "podman") and rest else called
    name = rest[-1] if rest else ""
    service = names.service(name)
    if verb == "unpause":
        return Ends(f"process {name}")
    kind = {"kill": "kill", "pkill": "kill", "killall": "kill", "restart": "kill", "pause": "pause", "stop": "pause"}
    if verb in kind and service:
        return Begins({"kind": kind[verb], "target": service}, f"process {name}")
    if verb in kind:
        return unclear(name, "service", "products")
    instead = _INSTEAD_OF.get(called, "a fault of 'cloudcart faults'")
    return Unknown(f"the program {called} may do anything", instead)


_INSTEAD_OF: Final = {
    "tc": "link_latency, link_bandwidth or link_blackhole with a link as target",
    "iptables": "link_blackhole or link_down with a link as target",
    "stress": "cpu_burn or memory_leak with a service as target",
    "stress-ng": "cpu_burn or memory_leak with a service as target",
    "kubectl": "kill or pause with a service as target",
}
