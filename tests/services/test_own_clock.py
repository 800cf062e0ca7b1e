"""Tokens are made and checked by the clock of the service, which may be wrong; so is readiness."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr

from cloudcart.chaos.record import Surroundings
from cloudcart.exceptions import RefusedError, TokenError
from cloudcart.services.layers import OperationsLayer
from cloudcart.services.security import Principal, ServiceTokens, TokenSigner, TokenVerifier
from cloudcart.settings import Auth
from cloudcart.telemetry.metrics import Telemetry

HOUR = 3600.0
SOMEBODY = Principal(7, "somebody", is_admin=False)


def ahead(hours: float) -> Any:
    return Surroundings(skew=hours * HOUR).time


@pytest.fixture(scope="module")
def auth() -> Auth:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Auth(
        private_key=SecretStr(private.decode()),
        public_key=public.decode(),
        service_secret=SecretStr("s" * 43),
        token_lifetime=HOUR,
    )


@pytest.mark.parametrize(("hours", "reason"), [(0.5, None), (2, "expired"), (-1, "malformed")])
def test_a_good_token_under_a_wrong_clock(auth: Auth, hours: float, reason: str | None) -> None:
    token = TokenSigner(auth).issue(SOMEBODY)
    verifier = TokenVerifier(auth, ahead(hours))
    if reason is None:
        assert verifier.verify(token) == SOMEBODY
        return
    with pytest.raises(TokenError) as refused:
        verifier.verify(token)
    assert refused.value.reason == reason


def test_a_token_that_is_known_is_refused_while_the_clock_is_wrong_and_taken_again(auth: Auth) -> None:
    clock = Surroundings()
    verifier = TokenVerifier(auth, clock.time)
    token = TokenSigner(auth).issue(SOMEBODY)
    verifier.verify(token)
    clock.skew = 2 * HOUR
    with pytest.raises(TokenError):
        verifier.verify(token)
    clock.skew = 0.0
    assert verifier.verify(token) == SOMEBODY


def test_a_token_of_a_signer_whose_clock_is_behind_has_expired_when_it_is_made(auth: Auth) -> None:
    with pytest.raises(TokenError, match="expired"):
        TokenVerifier(auth).verify(TokenSigner(auth, ahead(-2)).issue(SOMEBODY))


def test_a_service_whose_clock_is_wrong_is_not_let_in_and_afterwards_it_is(auth: Auth) -> None:
    clock = Surroundings(skew=-HOUR)
    tokens, other = ServiceTokens(auth, "orders", clock.time), ServiceTokens(auth, "products")
    with pytest.raises(RefusedError):
        other.check(tokens.header()[1].decode())
    clock.skew = 0.0
    other.check(tokens.header()[1].decode())


def test_readiness_is_refused_by_a_check_that_there_is() -> None:
    surroundings = Surroundings()

    async def fine() -> None:
        await asyncio.sleep(0)

    app: Any = OperationsLayer(None, telemetry=Telemetry("users"), checks={"database": fine}, surroundings=surroundings)  # type: ignore[arg-type]

    def ready() -> tuple[int, Any]:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
                return await client.get("/ready")

        answer = asyncio.run(ask())
        return answer.status_code, answer.json()["checks"]

    assert ready() == (200, {"database": "ok"})
    surroundings.unready = 1
    assert ready() == (503, {"database": "unavailable"})
    assert surroundings.time() == pytest.approx(time.time(), abs=1)
