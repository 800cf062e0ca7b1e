"""Kubernetes in experiments of Chaos Toolkit: the extension chaostoolkit-kubernetes, with its Chaos Mesh.

A pod's label or name says which service is meant. Called by ``actions``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cloudcart.experiment.chaostoolkit.activities import Activity
from cloudcart.experiment.chaostoolkit.meanings import Begins, Ends, Meaning, Names, Unknown, unclear
from cloudcart.units import format_duration, parse_duration


def _selected(action: Activity, prefix: str = "") -> str:
    """Return what a Kubernetes action is aimed at: the value of a label such as ``app``, a name or a pattern."""
    selectors = action.arguments.get(f"{prefix}label_selectors") or action.arguments.get(f"{prefix}label_selector")
    if isinstance(selectors, str):
        selectors = dict(pair.split("=", 1) for pair in selectors.split(",") if "=" in pair)
    if isinstance(selectors, dict) and selectors:
        chosen = next((name for name in selectors if name.rpartition("/")[2] in ("app", "name", "service")), None)
        return str(selectors[chosen or next(iter(selectors))])
    return "" if prefix else action.text("name_pattern", "deployment_name", "name")


def _of_service(action: Activity, names: Names, document: Mapping[str, Any], **more: Any) -> Meaning:
    selected = _selected(action)
    service = names.service(selected)
    if service is None:
        return unclear(selected or "NAME", "service", "products")
    return Begins({**document, "target": service}, f"{action.text('name')}", **more)


def pods(function: str, action: Activity, names: Names) -> Meaning:
    """Return what a function of chaosk8s.pod.actions means: a pod that is terminated is a process that is killed."""
    if function in ("terminate_pods", "delete_pods", "kill_microservice"):
        return _of_service(action, names, {"kind": "kill"}, note="one process, started again by the supervisor")
    if function == "exec_in_pods":
        return Unknown("a command in a pod may do anything", "the fault that it is meant to be")
    return Unknown(f"{function} changes a cluster", "a fault of 'cloudcart faults'")


def deployments(function: str, action: Activity, names: Names) -> Meaning:
    """Return what a function of chaosk8s.deployment.actions means: scaled to nothing, a service answers nobody."""
    if function in ("scale_deployment", "scale_microservice"):
        if action.number("replicas", 1.0) == 0:
            return _of_service(action, names, {"kind": "pause"}, note="no process answers until the fault ends")
        return Ends(action.text("name"))
    return pods(function, action, names)


def network(function: str, action: Activity, names: Names) -> Meaning:
    """Return what a function of chaosk8s.chaosmesh.network.actions means, on a link where it names both ends."""
    if function == "delete_network_fault":
        return Ends(action.text("name"))
    if function == "add_latency":
        return _network_latency(action, names)
    link = _network_link(action, names)
    if function == "set_bandwidth" and link:
        rate = {"kind": "link_bandwidth", "rate": f"{_bits(action.text('rate')):g}B", "target": link}
        return Begins(rate, action.text("name"))
    if function == "set_loss" and link and action.text("loss").rstrip("%") == "100":
        return Begins({"kind": "link_blackhole", "target": link}, action.text("name"))
    if function == "set_bandwidth":
        return Unknown(
            "one of our limits is of a link between two", "link_bandwidth with a target as products->postgres"
        )
    return Unknown("our links carry streams, in which TCP repeats what was lost", "link_latency, which is what is felt")


def _network_link(action: Activity, names: Names) -> str | None:
    peer = _selected(action, "target_")
    return names.link(f"{_selected(action)} {peer}") if peer else None


def _network_latency(action: Activity, names: Names) -> Meaning:
    latency, jitter = (parse_duration(action.text(name) or 0) for name in ("latency", "jitter"))
    link = _network_link(action, names)
    if link:
        said = {"kind": "link_latency", "latency": format_duration(latency), "jitter": format_duration(jitter)}
        return Begins({**said, "target": link}, action.text("name"))
    least, most = format_duration(max(0.0, latency - jitter)), format_duration(latency + jitter)
    spread = {"min": least, "max": most} if jitter else {"fixed": most}
    note = "of requests to the service, where Kubernetes delays each packet of the pod"
    return _of_service(action, names, {"kind": "latency", **spread}, note=note)


def _bits(rate: str) -> float:
    """Return bytes a second for tc's text: ``1mbps`` is bytes, ``1mbit`` is bits."""
    found = re.fullmatch(r"\s*([\d.]+)\s*([kmg]?)(bps|bit)\s*", rate.lower())
    if found is None:
        return 0.0
    scale = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}[found[2]]
    return float(found[1]) * scale / (8 if found[3] == "bit" else 1)


def stress(function: str, action: Activity, names: Names) -> Meaning:
    """Return what a function of chaosk8s.chaosmesh.stress.actions means."""
    if function == "delete_stressor":
        return Ends(action.text("name"))
    duration = parse_duration(action.text("duration") or "30s")
    if function == "stress_cpu":
        cores = max(0.1, action.number("workers", 1.0) * action.number("load", 100.0) / 100)
        return _of_service(action, names, {"kind": "cpu_burn", "cores": cores}, duration=duration)
    return Unknown("stress_memory takes an amount at once", "memory_leak with the rate at which it is taken")
