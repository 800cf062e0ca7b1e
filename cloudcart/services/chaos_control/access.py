"""Who may use the control plane's own port.

A service token or an administrator's token always may. On a lab, a plain request from this machine may, too, so that
``curl`` in a tutorial works as it is; it must then look like one: no foreign ``Host`` (DNS rebinding), no ``Origin``
outside the CORS list (cross-site forms), not passed on by a proxy, and a body only as JSON.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from starlette.requests import Request

from cloudcart.exceptions import RefusedError
from cloudcart.services.security import SERVICE_HEADER, ServiceTokens, TokenVerifier
from cloudcart.settings import Settings

_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_JSON: Final = frozenset({"application/json", "application/merge-patch+json"})
_PASSED_ON: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "traceparent")


class Access:
    """Decides for each request; a FastAPI dependency.

    Args:
        settings: lab or not, the CORS list, the keys.
    """

    def __init__(self, settings: Settings) -> None:
        self._lab = settings.lab
        self._origins = frozenset(settings.gateway.cors_origins)
        auth = settings.auth
        self._service_tokens = None if auth.service_secret is None else ServiceTokens(auth, "chaos")
        self._verifier = None if auth.public_key is None else TokenVerifier(auth)

    async def __call__(self, request: Request) -> None:
        """Do nothing for a request that may go on.

        Raises:
            RefusedError: 401, 403 or 415, with what to do about it.
        """
        _require_json(request)
        token = request.headers.get(SERVICE_HEADER)
        if token is not None and self._service_tokens is not None:
            self._service_tokens.check(token)
            return
        authorization = request.headers.get("authorization")
        if authorization is not None and self._verifier is not None:
            if not self._verifier.verify_header(authorization).is_admin:
                raise RefusedError(403, "only an administrator may control faults")
            return
        self._require_plain_local(request)

    def _require_plain_local(self, request: Request) -> None:
        if not self._lab or not _is_loopback(request) or any(name in request.headers for name in _PASSED_ON):
            raise RefusedError(401, "log in as an administrator, or show a service token: this controls faults")
        host = request.headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() not in _LOCAL_NAMES:
            raise RefusedError(403, "without a token this port answers to localhost only; use http://127.0.0.1")
        origin = request.headers.get("origin")
        own = f"http://{host}"
        if origin is not None and origin != own and origin not in self._origins:
            raise RefusedError(403, "pages of this origin may not control faults; add it to gateway.cors_origins")
        if request.headers.get("sec-fetch-site") == "cross-site" and origin is None:
            raise RefusedError(403, "other sites may not control faults")


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if (has_body or kind) and kind not in _JSON and request.method not in ("GET", "HEAD"):
        raise RefusedError(415, "send the body as JSON: Content-Type: application/json")


def _is_loopback(request: Request) -> bool:
    """Return whether both ends of the connection are on this machine."""
    server = request.scope.get("server") or ("", None)
    client = request.client.host if request.client is not None else ""
    return all(_loopback_address(end) for end in (server[0], client))


def _loopback_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
