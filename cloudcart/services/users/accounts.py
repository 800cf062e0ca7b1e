"""Users and what happens to them: registering, logging in, changing, deleting, and the seed.

The routes call it; it knows the table and no HTTP. Each change is one transaction, with its event.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg.errors import UniqueViolation
from pydantic import SecretStr

from cloudcart.events import UserCreated
from cloudcart.exceptions import RefusedError
from cloudcart.services.answers import Page
from cloudcart.services.lists import Listing, Lists
from cloudcart.services.service import trace_id
from cloudcart.services.users.models import Credentials, NewUser, Profile
from cloudcart.services.users.passwords import Passwords
from cloudcart.services.users.throttle import LoginThrottle
from cloudcart.stores.database import Database, Row, Session
from cloudcart.stores.outbox import Outbox

_INSERT: Final = """
INSERT INTO users (username, email, password_hash, full_name, is_admin) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
RETURNING *
"""
_INSERT_MANY: Final = """
INSERT INTO users (username, email, password_hash)
SELECT name, name || '@load.invalid', %s FROM (SELECT %s || '-' || n AS name FROM generate_series(1, %s) AS n) AS names
ON CONFLICT (username) DO UPDATE SET password_hash = excluded.password_hash
RETURNING id, username, is_admin
"""
_UPDATE: Final = """
UPDATE users SET email = coalesce(%s, email), full_name = coalesce(%s, full_name), updated_at = now() WHERE id = %s
RETURNING *
"""
_BY_ID: Final = "SELECT * FROM users WHERE id = %s"
_BY_USERNAME: Final = "SELECT * FROM users WHERE username = %s"
_BY_EMAIL: Final = "SELECT * FROM users WHERE lower(email) = lower(%s)"
_LIST: Final = Listing(
    "SELECT * FROM users ORDER BY id LIMIT %(limit)s OFFSET %(offset)s",
    "SELECT count(*) AS total FROM (SELECT FROM users LIMIT %(most)s) AS counted",
)
_DELETE: Final = "DELETE FROM users WHERE id = %s"
_EMPTY: Final = "TRUNCATE users, outbox RESTART IDENTITY"
_WRONG: Final = "the user name or the password is wrong"


class Accounts:
    """The users of the shop.

    Args:
        database: the user service's own.
        outbox: where ``user.created`` goes.
        passwords: hashes and checks.
        throttle: limits failed log-ins.
        seed: passwords of the users that are there from the start, by user name; None leaves one out.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        passwords: Passwords,
        throttle: LoginThrottle,
        seed: dict[str, SecretStr | None],
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._passwords = passwords
        self._throttle = throttle
        self._lists = Lists()
        self._seed = seed

    async def create(self, new: NewUser) -> Row:
        """Add a user and return it; 409 if user name or email is taken."""
        password_hash = await self._passwords.hash(new.password.get_secret_value())
        async with self._outbox.unit_of_work() as work:
            row = await work.row(_INSERT, (new.username, new.email, password_hash, new.full_name, new.is_admin))
            if row is None:
                same_name = await work.row(_BY_USERNAME, (new.username,))
                raise RefusedError(409, f"this {'user name' if same_name else 'email'} is taken; choose another one")
            work.publish(
                UserCreated(
                    service="users", trace_id=trace_id(), user_id=row["id"], username=new.username, email=new.email
                )
            )
        return row

    async def log_in(self, given: Credentials) -> Row:
        """Return the user whose credentials these are; 401 if they are wrong, 429 after too many failures."""
        async with self._database.session() as session:
            row = await _find(session, given)
        name = f"id:{row['id']}" if row else f"name:{(given.username or given.email or '').lower()}"
        await self._throttle.check(name)
        expected = row["password_hash"] if row else None
        matching = await self._passwords.matches(given.password.get_secret_value(), expected)
        if row is None or not matching:
            await self._throttle.failed(name)
            raise RefusedError(401, _WRONG)
        await self._throttle.check(name)  # guesses made at the same time must not get past the limit
        return row

    async def get(self, user_id: int) -> Row:
        """Return a user, or 404."""
        async with self._database.session() as session:
            return _found(await session.row(_BY_ID, (user_id,)))

    async def page(self, page: Page) -> tuple[list[Row], int]:
        """Return one page of all users, oldest first, and how many there are."""
        async with self._database.session() as session:
            return await self._lists.page(session, _LIST, {}, page)

    async def update(self, user_id: int, profile: Profile) -> Row:
        """Change what ``profile`` has and return the user; 404, or 409 if the email is somebody else's."""
        async with self._database.session(writes=True) as session:
            try:
                return _found(await session.row(_UPDATE, (profile.email, profile.full_name, user_id)))
            except UniqueViolation:
                raise RefusedError(409, "this email is taken; choose another one") from None

    async def delete(self, user_id: int) -> None:
        """Delete a user, or 404."""
        async with self._database.session(writes=True) as session:
            if not await session.run(_DELETE, (user_id,)):
                _found(None)

    async def prepare(self, count: int, prefix: str) -> list[Row]:
        """Add users for a load generator and return them; they share one hash, and are no events."""
        password_hash = await self._passwords.hash_once("load", "load")
        async with self._database.session(writes=True) as session:
            return await session.rows(_INSERT_MANY, (password_hash, prefix, count))

    async def seed(self) -> None:
        """Add the users that are there from the start, where they are missing."""
        async with self._database.session(writes=True) as session:
            for name, password in self._seed.items():
                if password is not None and not await session.row(_BY_USERNAME, (name,)):
                    await session.row(_INSERT, await self._seeded(name, password))

    async def reset(self) -> None:
        """Be as at the first start (lab only)."""
        seeded = [await self._seeded(name, password) for name, password in self._seed.items() if password is not None]
        async with self._database.transaction() as session:
            await session.run(_EMPTY)
            for user in seeded:
                await session.row(_INSERT, user)
        await self._throttle.forget_all()

    async def _seeded(self, name: str, password: SecretStr) -> tuple[str, str, str, str, bool]:
        """Return the row of a user that is there from the start."""
        password_hash = await self._passwords.hash_once(name, password.get_secret_value())
        return name, f"{name}@cloudcart.example", password_hash, name.capitalize(), name == "admin"


async def _find(session: Session, given: Credentials) -> Row | None:
    if given.username:
        return await session.row(_BY_USERNAME, (given.username,))
    return await session.row(_BY_EMAIL, (given.email,))


def _found(row: Any) -> Row:
    if row is None:
        raise RefusedError(404, "there is no such user")
    return row  # type: ignore[no-any-return]
