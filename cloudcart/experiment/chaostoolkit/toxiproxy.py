"""Toxiproxy in experiments of Chaos Toolkit: by the extension chaostoolkit-toxiproxy, or by its HTTP API.

Called by ``actions``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from cloudcart.experiment.chaostoolkit.activities import Activity
from cloudcart.experiment.chaostoolkit.meanings import Begins, Ends, Meaning, Names, Needless, Unknown, unclear
from cloudcart.units import format_duration


def toxic(function: str, action: Activity, names: Names) -> Meaning:
    """Return what a function of chaostoxi.toxic.actions means."""
    proxy, name = action.text("for_proxy", "proxy_name"), action.text("toxic_name", "name")
    if function == "delete_toxic":
        return Ends(f"toxic {proxy} {name}")
    kind = _TOXIC_FUNCTIONS.get(function) or action.text("toxic_type", "type")
    attributes = {**action.arguments, **_attributes(action)}
    return _link_fault(proxy, f"toxic {proxy} {name}", kind, attributes, names)


_TOXIC_FUNCTIONS: Final = {
    "create_latency_toxic": "latency",
    "create_bandwith_degradation_toxic": "bandwidth",
    "create_slow_connection_close_toxic": "slow_close",
    "create_timeout_toxic": "timeout",
    "create_slicer_toxic": "slicer",
    "create_limiter_toxic": "limit_data",
}


def _attributes(action: Activity) -> dict[str, Any]:
    inner = action.arguments.get("attributes")
    return dict(inner) if isinstance(inner, dict) else {}


def _link_fault(proxy: str, key: str, toxic: str, attributes: Mapping[str, Any], names: Names) -> Meaning:
    link = names.link(proxy)
    if link is None:
        return unclear(proxy, "link", "products->postgres")
    said = _TOXICS.get(toxic)
    if said is None:
        return Unknown(f"no fault of ours is a toxic {toxic!r}", "'cloudcart proxy', which has every toxic")
    document, note = said(attributes)
    toxicity = attributes.get("toxicity", 1.0)
    drawn = {} if toxicity in (1, 1.0, None) else {"probability": float(toxicity), "per": "connection"}
    stream = attributes.get("stream", "downstream")
    return Begins({**document, "target": link, "stream": stream, **drawn}, key, note=note)


def _of(attributes: Mapping[str, Any], name: str) -> float:
    try:
        return float(attributes.get(name) or 0)
    except (TypeError, ValueError):
        return 0.0


_TOXICS: Final[Mapping[str, Callable[[Mapping[str, Any]], tuple[dict[str, Any], str]]]] = {
    "latency": lambda a: (
        {
            "kind": "link_latency",
            "latency": format_duration(_of(a, "latency") / 1e3),
            "jitter": format_duration(_of(a, "jitter") / 1e3),
        },
        "",
    ),
    "bandwidth": lambda a: ({"kind": "link_bandwidth", "rate": f"{_of(a, 'rate'):g}kB"}, ""),
    "timeout": lambda a: (
        {"kind": "link_blackhole"},
        "connections stay open; after the heal the bytes arrive" if _of(a, "timeout") else "",
    ),
    "slicer": lambda a: (
        {
            "kind": "link_slice",
            "size": max(1, int(_of(a, "average_size"))),
            "variation": int(_of(a, "size_variation")),
            "pause": format_duration(_of(a, "delay") / 1e6),
        },
        "",
    ),
    "limit_data": lambda a: (
        {"kind": "link_reset", "after_bytes": int(_of(a, "bytes") or _of(a, "bytes_limit"))},
        "the connection is cut, not closed",
    ),
    "reset_peer": lambda _: ({"kind": "link_reset"}, ""),
}


def proxy(function: str, action: Activity, names: Names) -> Meaning:
    """Return what a function of chaostoxi.proxy.actions means: a proxy that is disabled is a link that is down."""
    proxy = action.text("proxy_name")
    enabled = action.arguments.get("enabled")
    if function == "enable_proxy" or (function == "modify_proxy" and enabled is True):
        return Ends(f"proxy {proxy}")
    if function == "disable_proxy" or (function == "modify_proxy" and enabled is False):
        return _down(proxy, names)
    return Needless("a lab leads its links through a proxy by itself")


def _down(proxy: str, names: Names) -> Meaning:
    link = names.link(proxy)
    if link is None:
        return _link_fault(proxy, "", "", {}, names)
    return Begins({"kind": "link_down", "target": link}, f"proxy {proxy}")


_PROXIES_PATH: Final = re.compile(r".*/proxies/(?P<proxy>[^/]+)(?:/toxics(?:/(?P<toxic>[^/]+))?)?/?")


def api_call(action: Activity, names: Names) -> Meaning:
    """Return what a call of Toxiproxy's HTTP API means; other calls are unknown."""
    method, _, url = action.does.partition(" ")
    found = _PROXIES_PATH.fullmatch(urlsplit(url).path)
    if found is None:
        return Unknown(f"{method} {url} changes something that we do not know", "a fault of 'cloudcart faults'")
    proxy, toxic = found["proxy"], found["toxic"]
    if method == "DELETE" and toxic:
        return Ends(f"toxic {proxy} {toxic}")
    if method == "POST" and "/toxics" in url:
        attributes = {**action.arguments, **_attributes(action)}
        name = action.text("name") or f"{action.text('type')}_{attributes.get('stream', 'downstream')}"
        return _link_fault(proxy, f"toxic {proxy} {name}", action.text("type"), attributes, names)
    if action.arguments.get("enabled") is True:
        return Ends(f"proxy {proxy}")
    return _down(proxy, names) if action.arguments.get("enabled") is False else Needless("it breaks nothing")
