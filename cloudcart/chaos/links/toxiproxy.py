"""Toxiproxy's HTTP API over our proxy: proxies, toxics, ``/reset``, ``/populate``, ``/version``.

So that clients and tests written for Toxiproxy work unchanged; what they do not know of is extra fields of a toxic
(``ttl``, ``seed``, ``per``). Not here: HTTP itself (``control_server``), what a toxic does (``toxics``). API:
https://github.com/Shopify/toxiproxy#http-api
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cloudcart.chaos.links.address import Address
from cloudcart.chaos.links.faults import LinkFaults
from cloudcart.chaos.links.proxy import LinkProxy
from cloudcart.chaos.links.toxics import TARGET, as_fault, attributes_of
from cloudcart.exceptions import CloudCartError, RefusedError

VERSION: Final = "2.12.0"  # of Toxiproxy: the version whose API this is; clients compare it
_LARGEST: Final = 1e15  # of a number; more milliseconds than anybody waits, and exact as a float
_EXTRA: Final = ("ttl", "seed", "per")
Document = Mapping[str, Any]


@dataclass
class Toxic:
    """One toxic as the API shows it."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Return its document."""
        own = {"attributes": self.attributes, "name": self.name, "type": self.type}
        return {**own, "stream": self.stream, "toxicity": self.toxicity, **self.more}


class ToxicProxy:
    """One proxy as the API knows it: a link that can be disabled, and its toxics."""

    def __init__(self, name: str, listen: str, upstream: str, seed: int) -> None:
        self.name = name
        self.listen = listen or "127.0.0.1:0"
        self.upstream = upstream
        self.enabled = False
        self._faults = LinkFaults(seed=seed)
        self._link = LinkProxy(TARGET, Address.parse(upstream), self._faults)
        self._toxics: dict[str, Toxic] = {}

    @property
    def toxics(self) -> dict[str, Toxic]:
        """Those that are there now: one with a ``ttl`` goes by itself."""
        alive = {record.id for record in self._faults.records()}
        self._toxics = {name: toxic for name, toxic in self._toxics.items() if name in alive}
        return self._toxics

    async def enable(self) -> None:
        """Listen; a port that was found once is kept."""
        if not self.enabled:
            self.listen = str(await self._link.listen(Address.parse(self.listen)))
            self.enabled = True

    def disable(self, *, for_good: bool = False) -> None:
        """Cut all connections and accept no more."""
        self._link.close(for_good=for_good)
        self.enabled = False
        if for_good:
            self._faults.close()

    async def update(self, changes: Document) -> None:
        """Change address or upstream, enable or disable."""
        listen, upstream = _text(changes, "listen", self.listen), _text(changes, "upstream", self.upstream)
        enabled = _switch(changes, "enabled", self.enabled)
        Address.parse(listen)
        address = Address.parse(upstream)
        if (listen, upstream) != (self.listen, self.upstream):
            self.disable()
            self.listen, self.upstream, self._link.upstream = listen, upstream, address
        if enabled:
            await self.enable()
        else:
            self.disable()

    def put(self, toxic: Toxic) -> None:
        """Let a toxic act, in place of one with its name if there is one."""
        fault = as_fault(toxic.type, toxic.attributes, stream=toxic.stream, toxicity=toxic.toxicity, more=toxic.more)
        if toxic.name not in self.toxics:
            self._faults.forget(toxic.name)
        if "ttl" in toxic.more:
            self._faults.add(fault, toxic.name)
        else:
            self._faults.add_lasting(fault, toxic.name)
        self._toxics[toxic.name] = toxic

    def remove(self, name: str) -> None:
        """End a toxic."""
        self._faults.remove(name)
        del self._toxics[name]

    def clear(self) -> None:
        """End all toxics."""
        self._faults.clear()
        self._toxics.clear()

    def shown(self) -> dict[str, Any]:
        """Return its document."""
        own = {"name": self.name, "listen": self.listen, "upstream": self.upstream, "enabled": self.enabled}
        return {**own, "toxics": [toxic.shown() for toxic in self.toxics.values()]}


class ToxiproxyApi:
    """Answers the API's requests.

    Args:
        seed: of toxics that name none.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self._proxies: dict[str, ToxicProxy] = {}

    async def answer(self, method: str, path: str, body: Any) -> tuple[int, object]:
        """Return status and document (None: no body) of the answer; ``body`` is the request's JSON, {} if it has none.

        Raises:
            RefusedError: 400, 404, 405 or 409, worded as Toxiproxy does.
        """
        parts = [part for part in path.split("/") if part]
        match (method, *parts):
            case ("GET", "version"):
                return 200, {"version": VERSION}
            case ("POST", "reset"):
                await self._reset()
                return 204, None
            case ("POST", "populate"):
                return 201, {"proxies": [await self._populate(_mapping(item)) for item in _listed(body)]}
            case ("GET", "proxies"):
                return 200, {name: proxy.shown() for name, proxy in self._proxies.items()}
            case ("POST", "proxies"):
                return 201, (await self.create(_mapping(body))).shown()
            case (_, "proxies", name):
                return await self._proxy(method, name, body)
            case (_, "proxies", name, "toxics"):
                return self._toxics(method, self._find(name), body)
            case (_, "proxies", name, "toxics", toxic):
                return self._toxic(method, self._find(name), toxic, body)
        raise RefusedError(404, "no such address")

    async def create(self, document: Document) -> ToxicProxy:
        """Make a proxy; raises RefusedError as :meth:`answer`."""
        for required in ("name", "upstream"):
            if not isinstance(document.get(required), str) or not document[required]:
                raise RefusedError(400, f"missing required field: {required}")
        name = document["name"]
        if name in self._proxies:
            raise RefusedError(409, "proxy already exists")
        try:
            proxy = ToxicProxy(name, _text(document, "listen", ""), document["upstream"], self._seed)
            if _switch(document, "enabled", default=True):
                await proxy.enable()
        except CloudCartError as error:
            raise RefusedError(400, f"bad request body: {error}") from None
        self._proxies[name] = proxy
        return proxy

    def close(self) -> None:
        """End every proxy."""
        for proxy in self._proxies.values():
            proxy.disable(for_good=True)
        self._proxies.clear()

    async def _reset(self) -> None:
        for proxy in self._proxies.values():
            proxy.clear()
            await proxy.enable()

    async def _populate(self, document: Document) -> dict[str, Any]:
        known = self._proxies.get(str(document.get("name")))
        if known is not None and (known.listen, known.upstream) == (document.get("listen"), document.get("upstream")):
            return known.shown()
        if known is not None:
            self._delete(known)
        return (await self.create(document)).shown()

    async def _proxy(self, method: str, name: str, body: Any) -> tuple[int, object]:
        proxy = self._find(name)
        match method:
            case "GET":
                return 200, proxy.shown()
            case "POST" | "PATCH":
                try:
                    await proxy.update(_mapping(body))
                except CloudCartError as error:
                    raise RefusedError(400, f"bad request body: {error}") from None
                return 200, proxy.shown()
            case "DELETE":
                self._delete(proxy)
                return 204, None
        raise RefusedError(405, "method not allowed")

    def _toxics(self, method: str, proxy: ToxicProxy, body: Any) -> tuple[int, object]:
        if method == "GET":
            return 200, [toxic.shown() for toxic in proxy.toxics.values()]
        if method != "POST":
            raise RefusedError(405, "method not allowed")
        toxic = _new_toxic(_mapping(body))
        if toxic.name in proxy.toxics:
            raise RefusedError(409, "toxic already exists")
        _put(proxy, toxic)
        return 200, toxic.shown()

    def _toxic(self, method: str, proxy: ToxicProxy, name: str, body: Any) -> tuple[int, object]:
        toxic = proxy.toxics.get(name)
        if toxic is None:
            raise RefusedError(404, "toxic not found")
        match method:
            case "GET":
                return 200, toxic.shown()
            case "POST" | "PATCH":
                changed = _changed(toxic, _mapping(body))
                _put(proxy, changed)
                return 200, changed.shown()
            case "DELETE":
                proxy.remove(name)
                return 204, None
        raise RefusedError(405, "method not allowed")

    def _find(self, name: str) -> ToxicProxy:
        if name not in self._proxies:
            raise RefusedError(404, "proxy not found")
        return self._proxies[name]

    def _delete(self, proxy: ToxicProxy) -> None:
        proxy.clear()
        proxy.disable(for_good=True)
        del self._proxies[proxy.name]


def _new_toxic(document: Document) -> Toxic:
    kind, stream = _text(document, "type", ""), _text(document, "stream", "") or "downstream"
    if stream not in ("upstream", "downstream"):
        raise RefusedError(400, "stream was invalid, can be either upstream or downstream")
    try:
        attributes = attributes_of(kind, _mapping(document.get("attributes") or {}))
    except CloudCartError as error:
        raise RefusedError(400, str(error)) from None
    more = {name: document[name] for name in _EXTRA if name in document}
    toxicity = document.get("toxicity")
    name = _text(document, "name", "") or f"{kind}_{stream}"
    return Toxic(name, kind, stream, 1.0 if toxicity is None else toxicity, attributes, more)


def _changed(toxic: Toxic, changes: Document) -> Toxic:
    attributes = {**toxic.attributes, **_mapping(changes.get("attributes") or {})}
    more = {**toxic.more, **{name: changes[name] for name in _EXTRA if name in changes}}
    toxicity = changes.get("toxicity", toxic.toxicity)
    return Toxic(toxic.name, toxic.type, toxic.stream, toxicity, attributes_of(toxic.type, attributes), more)


def _put(proxy: ToxicProxy, toxic: Toxic) -> None:
    numbers = (toxic.toxicity, *toxic.attributes.values())
    if not all(isinstance(number, int | float) and 0 <= number <= _LARGEST for number in numbers):
        raise RefusedError(400, "bad request body: attributes and toxicity are numbers that are not negative")
    try:
        proxy.put(toxic)
    except CloudCartError as error:
        raise RefusedError(400, str(error)) from None


def _mapping(value: Any) -> Document:
    if not isinstance(value, Mapping):
        raise RefusedError(400, "bad request body: a JSON object is wanted")
    return value


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RefusedError(400, "bad request body: a JSON list is wanted")
    return value


def _text(document: Document, name: str, default: str) -> str:
    value = default if document.get(name) is None else document[name]  # null is as good as nothing, as in Go
    if not isinstance(value, str):
        raise RefusedError(400, f"bad request body: {name} is a text")
    return value


def _switch(document: Document, name: str, default: bool) -> bool:
    value = default if document.get(name) is None else document[name]
    if not isinstance(value, bool):
        raise RefusedError(400, f"bad request body: {name} is true or false")
    return value
