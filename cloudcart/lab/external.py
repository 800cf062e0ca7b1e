"""The external backend: a lab that somebody else started. Nothing is started here, and nothing is left changed.

Where it is comes from settings, that is, from the environment or an option: ``urls.*``, ``auth.service_secret``, the
passwords, ``stores.kafka`` and ``stores.database`` (``cloudcart status --environment`` prints those of a lab on this
machine). Its chaos service says whether it is a lab at all, and with which settings it runs.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from cloudcart.exceptions import LabError, UnsupportedError, UsageError
from cloudcart.lab.backend import Progress, StartRequest
from cloudcart.lab.calls import call
from cloudcart.lab.tokens import service_token

_FACTS: Final = "/internal/lab"
_ADDRESSES: Final = ("urls.", "stores.")
_NEEDED: Final = (
    "urls.gateway",
    "auth.service_secret",
    "auth.admin_password",
    "auth.demo_password",
    "stores.kafka",
    "stores.database",
)


class ExternalHandle:
    """A lab that somebody else started: it is used, healed and reset, and neither started nor ended.

    Args:
        record: what it is.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = dict(record)

    @property
    def directory(self) -> Path:
        """Nothing of it is on this machine: a folder that does not exist."""
        return Path("external")

    def record(self) -> dict[str, Any]:
        """Return what the lab is."""
        return self._record

    def control(self, command: str, **arguments: object) -> dict[str, Any]:
        """Return what is known of its processes, which is nothing; raises UnsupportedError for all but ``status``."""
        if command == "status":
            return {"pids": {}, "restarts": dict.fromkeys(self._record["urls"], 0), "state": "ready"}
        what = f"{command} {arguments.get('service', '')}".strip()
        raise UnsupportedError(f"an external lab's processes are out of reach, so it cannot {what}; inject a fault")

    def close(self) -> None:
        """Let go of it: there is nothing to do."""


class ExternalBackend:
    """Finds a lab by its addresses."""

    def start(self, request: StartRequest, progress: Progress) -> ExternalHandle:  # noqa: ARG002 -- takes no time
        """Return a handle to the lab that settings name.

        Raises:
            UsageError: an address or secret is missing, or what is there is not marked as a lab.
            UnsupportedError: it runs with other settings than were asked for.
            LabError: it does not answer.
        """
        from cloudcart.lab.wiring import dump_settings
        from cloudcart.settings import SERVICES, Settings

        places = {name: value for name, value in request.overrides.items() if name.startswith(_ADDRESSES)}
        own = Settings().with_overrides(places)
        _require_all(dump_settings(own))
        urls: dict[str, str] = {
            service: getattr(own.urls, service) or _beside(own.urls.gateway, port) for service, port in SERVICES.items()
        }
        assert own.auth.service_secret is not None
        facts = _ask(urls["chaos"], own.auth.service_secret.get_secret_value())
        settings = own.with_overrides({**{f"urls.{name}": url for name, url in urls.items()}, **facts})
        wanted = {name: value for name, value in request.overrides.items() if name not in places}
        for name, value in wanted.items():
            if settings.with_overrides({name: value}) != settings:
                raise UnsupportedError(
                    f"{name}={value} is needed, and the lab at {urls['gateway']} runs with another value; "
                    f"whoever starts it can say --set {name}={value}"
                )
        more = {f"products/{number}": url for number, url in enumerate(own.urls.products_replicas, 1)}
        return ExternalHandle(_record({**urls, **more}, dump_settings(settings)))


def _require_all(settings: Mapping[str, Any]) -> None:
    missing = [name for name in _NEEDED if not settings[name.partition(".")[0]][name.partition(".")[2]]]
    if missing:
        variables = ", ".join(f"CLOUDCART_{name.upper().replace('.', '__')}" for name in missing)
        raise UsageError(f"an external lab needs {variables}; 'cloudcart status --environment', where it runs, tells")


def _beside(gateway: str, port: int) -> str:
    """Return the URL of another service of the same host, at its default port."""
    return f"http://{urlsplit(gateway).hostname}:{port}"


def _record(urls: Mapping[str, str], settings: dict[str, Any]) -> dict[str, Any]:
    passwords = {who: settings["auth"][f"{who}_password"] for who in ("admin", "demo")}
    return {
        "urls": dict(urls),
        "pids": {},
        "logins": {who: {"username": who, "password": password} for who, password in passwords.items()},
        "seconds": 0.0,
        "phases": [],
        "settings": settings,
        "database": settings["stores"]["database"],
        "backend": "external",
    }


def _ask(chaos: str, secret: str) -> dict[str, object]:
    """Return the settings that the lab runs with, by dotted name.

    Raises:
        UsageError: it does not say that it is a lab.
        LabError: it does not answer.
    """
    try:
        status, content = call("GET", chaos, _FACTS, None, {"x-service-token": service_token(secret)})
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"no chaos service answers at {chaos} ({error}); set CLOUDCART_URLS__CHAOS") from None
    if status == 401:
        raise UsageError(f"{chaos} refuses CLOUDCART_AUTH__SERVICE_SECRET; take it from whoever started the lab")
    if status != 200:
        _refuse(chaos)
    facts: dict[str, object] = json.loads(content)
    if facts.get("lab") is not True:
        _refuse(chaos)
    return facts


def _refuse(chaos: str) -> NoReturn:
    raise UsageError(f"the shop of {chaos} is not marked as a lab (setting lab=on), so nothing may be broken there")
