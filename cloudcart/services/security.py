"""Who is asking: tokens of users (Ed25519, only the user service signs) and of services (shared secret, one minute).

Used by every service and by the gateway; routes say ``user: CurrentUser`` or ``admin: Admin``, and internal routers
depend on :func:`require_service`. A token is good until it expires: that its user was deleted is known to the user
service only, and said at ``/auth/validate``. Passwords are not here (``services.users.passwords``).
"""

from __future__ import annotations

import base64
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from fastapi import Depends
from starlette.requests import Request

from cloudcart.exceptions import RefusedError, TokenError, UsageError
from cloudcart.settings import Auth

ISSUER: Final = "cloudcart"
SERVICE_HEADER: Final = "x-service-token"
_SERVICE_TOKEN_LIFE: Final = 60.0  # seconds
_SERVICE_TOKEN_REUSE: Final = 30.0
_OWN_CLOCK: Final[Any] = {"verify_exp": False, "verify_iat": False}  # checked here, by the service's own clock
_CACHED_TOKENS: Final = 10_000

Clock: TypeAlias = Callable[[], float]
"""Returns unix seconds: the service's own clock, which a fault may move."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The user that a request speaks for; ``expires`` is when its token does, in unix seconds."""

    user_id: int
    username: str
    is_admin: bool
    expires: float = field(default=math.inf, compare=False)


class TokenSigner:
    """Issues the tokens of users. Only the user service has the private key."""

    def __init__(self, auth: Auth, clock: Clock = time.time) -> None:
        if auth.private_key is None:
            raise UsageError("the user service needs auth.private_key: an Ed25519 private key as PEM")
        key = load_pem_private_key(auth.private_key.get_secret_value().encode(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError("auth.private_key must be an Ed25519 key")
        self._key = key
        self._lifetime = auth.token_lifetime
        self._clock = clock

    def issue(self, principal: Principal) -> str:
        """Return a token for ``principal``, valid from now on for ``auth.token_lifetime`` seconds."""
        now = int(self._clock())
        claims = {
            "iss": ISSUER,
            "sub": str(principal.user_id),
            "username": principal.username,
            "is_admin": principal.is_admin,
            "iat": now,
            "exp": now + int(self._lifetime),
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA")


class TokenVerifier:
    """Checks the tokens of users; remembers good ones until they expire, since a signature check costs over 100 us."""

    def __init__(self, auth: Auth, clock: Clock = time.time) -> None:
        if auth.public_key is None:
            raise UsageError("every service needs auth.public_key: the user service's Ed25519 public key as PEM")
        key = load_pem_public_key(auth.public_key.encode())
        if not isinstance(key, Ed25519PublicKey):
            raise UsageError("auth.public_key must be an Ed25519 key")
        self._key = key
        self._clock = clock
        self._known: OrderedDict[str, Principal] = OrderedDict()

    def verify(self, token: str) -> Principal:
        """Return whom ``token`` speaks for.

        Raises:
            TokenError: malformed, expired, or not signed by the user service.
        """
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = self._check(token)
            if len(self._known) > _CACHED_TOKENS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(token)
        if known.expires <= self._clock():
            self._known.pop(token, None)
            raise TokenError("expired", "the token has expired; log in again")
        return known

    def seconds_left(self, principal: Principal) -> float:
        """Return for how long the token of ``principal`` is good."""
        return principal.expires - self._clock()

    def verify_header(self, authorization: str | None) -> Principal:
        """Return whom an ``Authorization`` header speaks for; raises as :meth:`verify`, also where there is none."""
        if not authorization:
            raise TokenError("missing", "log in first: this needs the header 'Authorization: Bearer TOKEN'")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenError("malformed", "the header must read 'Authorization: Bearer TOKEN'")
        return self.verify(token.strip())

    def public_keys(self) -> dict[str, object]:
        """Return the key as a JSON Web Key Set (RFC 8037, section 2)."""
        raw = self._key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig", "alg": "EdDSA"}]}

    def _check(self, token: str) -> Principal:
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._key, algorithms=["EdDSA"], issuer=ISSUER, options=_OWN_CLOCK | {"require": ["exp", "sub"]}
            )
            if float(claims.get("iat", 0)) > self._clock():
                raise TokenError("malformed", "the token is from the future; log in again")
            user, expires = str(claims["username"]), float(claims["exp"])
            return Principal(int(claims["sub"]), user, claims["is_admin"] is True, expires)
        except jwt.InvalidSignatureError:
            raise TokenError("signature", "the token was not issued by this shop; log in again") from None
        except (jwt.PyJWTError, KeyError, ValueError, TypeError):
            raise TokenError("malformed", "the token cannot be read; log in again") from None


class ServiceTokens:
    """Issues and checks the tokens that services show each other on ``/internal`` routes (HS256, one minute)."""

    def __init__(self, auth: Auth, service: str, clock: Clock = time.time) -> None:
        if auth.service_secret is None:
            raise UsageError("every service needs auth.service_secret: a random text of at least 32 characters")
        self._secret = auth.service_secret.get_secret_value()
        self._service = service
        self._clock = clock
        self._current = ("", 0.0)
        self._checked: dict[str, float] = {}

    def header(self) -> tuple[bytes, bytes]:
        """Return the header for a call now; a token is used again for half a minute."""
        token, made = self._current
        now = self._clock()
        if not 0 <= now - made <= _SERVICE_TOKEN_REUSE:
            claims = {"iss": self._service, "exp": now + _SERVICE_TOKEN_LIFE}
            token = jwt.encode(claims, self._secret, algorithm="HS256")
            self._current = (token, now)
        return SERVICE_HEADER.encode(), token.encode()

    def check(self, token: str | None) -> None:
        """Do nothing for a good token.

        Raises:
            RefusedError: 401, the token is missing, expired or not made with the shared secret.
        """
        now = self._clock()
        if token is not None and self._checked.get(token, 0.0) > now:
            return
        try:
            options = _OWN_CLOCK | {"require": ["exp", "iss"]}
            claims = jwt.decode(token or "", self._secret, algorithms=["HS256"], options=options)
            expires = float(claims["exp"])
        except (jwt.PyJWTError, ValueError, TypeError):
            expires = 0.0
        if expires <= now:
            raise RefusedError(401, "this address is for the shop's own services") from None
        if len(self._checked) > 100:
            self._checked = {known: until for known, until in self._checked.items() if until > now}
        self._checked[token or ""] = expires


async def current_user(request: Request) -> Principal:
    """FastAPI dependency: the user of the request, or 401. The application keeps its verifier in ``app.state``."""
    verifier: TokenVerifier = request.app.state.verifier
    return verifier.verify_header(request.headers.get("authorization"))


async def require_admin(request: Request) -> Principal:
    """FastAPI dependency: the user of the request, who must be an administrator (401, 403)."""
    principal = await current_user(request)
    if not principal.is_admin:
        raise RefusedError(403, "only an administrator may do this")
    return principal


async def require_service(request: Request) -> None:
    """FastAPI dependency of internal routes: the caller is a service of this shop (401)."""
    tokens: ServiceTokens = request.app.state.service_tokens
    tokens.check(request.headers.get(SERVICE_HEADER))


CurrentUser = Annotated[Principal, Depends(current_user)]
Admin = Annotated[Principal, Depends(require_admin)]
