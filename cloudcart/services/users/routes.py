"""The HTTP routes of the user service: ``/auth`` for everybody, ``/users`` for oneself and administrators."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from prometheus_client import Counter
from starlette.responses import Response

from cloudcart.exceptions import RefusedError
from cloudcart.services.answers import Id, PageWanted, json_answer, list_answer
from cloudcart.services.security import Admin, CurrentUser, Principal, TokenSigner, TokenVerifier
from cloudcart.services.users.accounts import Accounts
from cloudcart.services.users.models import (
    PREPARED_LIST,
    USER_LIST,
    Credentials,
    LoggedIn,
    NewUser,
    PreparedUser,
    PrepareUsers,
    Profile,
    Registration,
    User,
    Validated,
)
from cloudcart.stores.database import Row
from cloudcart.telemetry.metrics import Telemetry


class Metrics:
    """What the user service counts of its own."""

    def __init__(self, telemetry: Telemetry) -> None:
        registry = telemetry.registry
        self.registrations = Counter("user_registrations_total", "Users who registered.", registry=registry)
        self.logins = Counter("user_logins_total", "Log-ins tried.", ["success"], registry=registry)


async def _accounts(request: Request) -> Accounts:
    return request.app.state.accounts  # type: ignore[no-any-return]


async def _metrics(request: Request) -> Metrics:
    return request.app.state.metrics  # type: ignore[no-any-return]


async def _signer(request: Request) -> TokenSigner:
    return request.app.state.signer  # type: ignore[no-any-return]


OfAccounts = Annotated[Accounts, Depends(_accounts)]
OfMetrics = Annotated[Metrics, Depends(_metrics)]
OfSigner = Annotated[TokenSigner, Depends(_signer)]

auth: Final = APIRouter(prefix="/auth", tags=["auth"])
users: Final = APIRouter(prefix="/users", tags=["users"])


@auth.post("/register", status_code=201, response_model=LoggedIn)
async def register(given: Registration, accounts: OfAccounts, signer: OfSigner, metrics: OfMetrics) -> Response:
    """Become a user and be logged in."""
    row = await accounts.create(NewUser(**given.model_dump(), is_admin=False))
    metrics.registrations.inc()
    return _logged_in(row, signer, 201)


@auth.post("/login", response_model=LoggedIn)
async def log_in(given: Credentials, accounts: OfAccounts, signer: OfSigner, metrics: OfMetrics) -> Response:
    """Get a token."""
    try:
        row = await accounts.log_in(given)
    except RefusedError:
        metrics.logins.labels("false").inc()
        raise
    metrics.logins.labels("true").inc()
    return _logged_in(row, signer, 200)


@auth.get("/validate")
async def validate(user: CurrentUser, accounts: OfAccounts) -> Validated:
    """Say whose token this is; 401 if it is nobody's, or of somebody who was deleted."""
    try:
        row = await accounts.get(user.user_id)
    except RefusedError:
        raise RefusedError(401, "the user of this token does not exist any more") from None
    return Validated(user=User.model_validate(row))


@auth.get("/jwks")
async def public_keys(request: Request) -> dict[str, object]:
    """Return the keys that tokens are verified with."""
    verifier: TokenVerifier = request.app.state.verifier
    return verifier.public_keys()


@users.get("", response_model=list[User])
async def list_users(_admin: Admin, accounts: OfAccounts, page: PageWanted) -> Response:
    """List all users."""
    rows, total = await accounts.page(page)
    return list_answer(USER_LIST, rows, total, page)


@users.post("", status_code=201, response_model=User)
async def create_user(_admin: Admin, given: NewUser, accounts: OfAccounts) -> Response:
    """Add a user, perhaps an administrator."""
    return json_answer(_user(await accounts.create(given)), 201)


@users.get("/{id}", response_model=User)
async def get_user(id: Id, user: CurrentUser, accounts: OfAccounts) -> Response:  # noqa: A002
    """Show a user."""
    _self_or_admin(user, id)
    return json_answer(_user(await accounts.get(id)))


@users.put("/{id}", response_model=User)
async def update_user(id: Id, user: CurrentUser, given: Profile, accounts: OfAccounts) -> Response:  # noqa: A002
    """Change email or full name."""
    _self_or_admin(user, id)
    return json_answer(_user(await accounts.update(id, given)))


@users.delete("/{id}", status_code=204)
async def delete_user(id: Id, admin: Admin, accounts: OfAccounts) -> None:  # noqa: A002
    """Delete a user."""
    if id == admin.user_id:
        raise RefusedError(409, "an administrator cannot delete the own account; ask another one")
    await accounts.delete(id)


def add_internal_routes(router: APIRouter) -> None:
    """Add what only a lab has."""

    @router.post("/prepare-users", response_model=list[PreparedUser])
    async def prepare_users(given: PrepareUsers, accounts: OfAccounts, signer: OfSigner) -> Response:
        """Make users with tokens for a load generator, without 50 ms of hashing for each."""
        rows = await accounts.prepare(given.count, given.prefix)
        prepared = [
            PreparedUser(user_id=row["id"], username=row["username"], token=signer.issue(_principal(row)))
            for row in rows
        ]
        return json_answer(PREPARED_LIST.dump_json(prepared))


def _logged_in(row: Row, signer: TokenSigner, status: int) -> Response:
    answer = LoggedIn(token=signer.issue(_principal(row)), user=User.model_validate(row))
    return json_answer(answer.model_dump_json().encode(), status)


def _principal(row: Row) -> Principal:
    return Principal(row["id"], row["username"], row["is_admin"])


def _user(row: Row) -> bytes:
    return User.model_validate(row).model_dump_json().encode()


def _self_or_admin(user: Principal, user_id: int) -> None:
    if user.user_id != user_id and not user.is_admin:
        raise RefusedError(403, "this is another user's; only an administrator may see it")
