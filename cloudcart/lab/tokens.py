"""The token that the lab shows services on their internal routes: a JSON Web Token (RFC 7519), HS256, for one minute.

The same as ``services.security.ServiceTokens`` issues, written out with the standard library, so that a pytest process
needs neither PyJWT nor cryptography.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Final

ISSUER: Final = "lab"
_LIFE: Final = 60.0  # seconds
_HEADER: Final = {"alg": "HS256", "typ": "JWT"}


def service_token(secret: str) -> str:
    """Return a token that services accept which share ``secret``."""
    claims = {"iss": ISSUER, "exp": int(time.time() + _LIFE)}
    signed = f"{_encode(json.dumps(_HEADER).encode())}.{_encode(json.dumps(claims).encode())}"
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_encode(signature)}"


def _encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
