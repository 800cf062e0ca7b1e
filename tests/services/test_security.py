"""Tokens of users and services: what is believed, and what is not."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from cloudcart.exceptions import RefusedError, TokenError, UsageError
from cloudcart.services.security import Principal, ServiceTokens, TokenSigner, TokenVerifier
from cloudcart.settings import Auth

ADA = Principal(7, "ada", is_admin=True)


def reason(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(TokenError) as refused:
        verifier.verify(token)
    return refused.value.reason


def test_a_token_speaks_for_its_user(auth: Auth) -> None:
    verifier, token = TokenVerifier(auth), TokenSigner(auth).issue(ADA)
    assert verifier.verify(token) == verifier.verify(token) == ADA
    assert verifier.verify_header(f"bearer {token}") == ADA
    jwk = jwt.PyJWK(verifier.public_keys()["keys"][0])  # type: ignore[index]
    assert jwt.decode(token, jwk, issuer="cloudcart", algorithms=["EdDSA"])["sub"] == "7"


def test_what_is_not_believed(auth: Auth) -> None:
    verifier, token = TokenVerifier(auth), TokenSigner(auth).issue(ADA)
    stranger = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    foreign = TokenSigner(auth.model_copy(update={"private_key": SecretStr(stranger)})).issue(ADA)
    now = int(time.time())
    claims = {"iss": "cloudcart", "sub": "7", "username": "ada", "is_admin": True, "exp": now + 60}
    assert reason(verifier, foreign) == "signature"
    assert reason(verifier, token[:-4] + "AAAA") == "signature"
    assert reason(verifier, jwt.encode(claims, None, algorithm="none")) == "malformed"
    assert reason(verifier, jwt.encode(claims, "x" * 32, algorithm="HS256")) == "malformed"
    private = auth.private_key.get_secret_value()  # type: ignore[union-attr]
    assert reason(verifier, jwt.encode(claims | {"exp": now - 1}, private, algorithm="EdDSA")) == "expired"
    assert reason(verifier, jwt.encode(claims | {"iss": "other"}, private, algorithm="EdDSA")) == "malformed"
    assert reason(verifier, jwt.encode(claims | {"sub": "x"}, private, algorithm="EdDSA")) == "malformed"


@given(st.text(max_size=60))
def test_nonsense_is_refused(text: str) -> None:
    public = Ed25519PrivateKey.generate().public_key()
    from cryptography.hazmat.primitives.serialization import PublicFormat

    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    verifier = TokenVerifier(Auth(public_key=pem))
    with pytest.raises(TokenError):
        verifier.verify(text)
    with pytest.raises(TokenError):
        verifier.verify_header(text)


def test_a_remembered_token_still_expires(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, token = TokenVerifier(auth), TokenSigner(auth).issue(ADA)
    verifier.verify(token)
    later = time.time() + auth.token_lifetime + 1
    monkeypatch.setattr("cloudcart.services.security.time.time", lambda: later)
    assert reason(verifier, token) == "expired"


def test_memory_is_bounded(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudcart.services.security._CACHED_TOKENS", 10)
    verifier, signer = TokenVerifier(auth), TokenSigner(auth)
    tokens = [signer.issue(Principal(number, "u", is_admin=False)) for number in range(30)]
    assert [verifier.verify(token).user_id for token in tokens + tokens] == [*range(30), *range(30)]
    assert len(verifier._known) <= 10


def test_services_know_each_other(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    orders, products = ServiceTokens(auth, "orders"), ServiceTokens(auth, "products")
    name, token = orders.header()
    assert name == b"x-service-token"
    assert orders.header() == (name, token)  # used again
    for _ in range(2):
        products.check(token.decode())
    stranger = ServiceTokens(auth.model_copy(update={"service_secret": SecretStr("s" * 40)}), "orders")
    for bad in (None, "", "x.y.z", stranger.header()[1].decode(), TokenSigner(auth).issue(ADA)):
        with pytest.raises(RefusedError) as refused:
            products.check(bad)
        assert refused.value.status == 401
    later = time.time() + 61
    monkeypatch.setattr("cloudcart.services.security.time.time", lambda: later)
    assert orders.header()[1] != token


@pytest.mark.parametrize("build", [TokenSigner, TokenVerifier, lambda auth: ServiceTokens(auth, "x")])
def test_there_is_no_default_secret(build: Any) -> None:
    with pytest.raises(UsageError, match=r"auth\."):
        build(Auth())
