"""Answers that are given again: the same ``Idempotency-Key`` and body give the same answer and one effect.

An answer is kept in the transaction of its effect, so there is never one without the other. Refusals are not kept: what
was refused had no effect and may be tried again. After ``orders.idempotency_keep`` a key is as good as new. Used by
ordering and paying.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, NamedTuple

from cloudcart.exceptions import AnsweredMeanwhileError, RefusedError
from cloudcart.stores.database import Database, Session
from cloudcart.stores.retention import Retention

_FIND: Final = "SELECT fingerprint, status, answer FROM idempotency_keys WHERE (user_id, operation, key) = (%s, %s, %s)"
_KEEP: Final = """
INSERT INTO idempotency_keys (user_id, operation, key, fingerprint, status, answer) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_FORGET: Final = """
DELETE FROM idempotency_keys USING (
    SELECT user_id, operation, key FROM idempotency_keys WHERE created_at < now() - make_interval(secs => %(keep)s)
    ORDER BY created_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
) AS old
WHERE (idempotency_keys.user_id, idempotency_keys.operation, idempotency_keys.key)
    = (old.user_id, old.operation, old.key)
"""


def key_retention(keep: float) -> Retention:
    """Return for how many seconds answers are given again."""
    return Retention("idempotency_keys", _FORGET, keep)


class Answer(NamedTuple):
    """A status and a body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What tells a repeated request from another one.

    Attributes:
        user_id: keys of different users do not meet.
        operation: nor do those of different operations, as ``create`` or ``pay:7``.
        key: what the client sent; empty for a request that is not to be recognised.
        fingerprint: hash of the body.
    """

    user_id: int
    operation: str
    key: str
    fingerprint: str

    @classmethod
    def of(cls, user_id: int, operation: str, key: str | None, body: str) -> RequestKey:
        """Return the key of a request with this body."""
        return cls(user_id, operation, key or "", hashlib.sha256(body.encode()).hexdigest() if key else "")

    def scope(self, database: Database) -> AbstractAsyncContextManager[Session]:
        """Give a session for a statement that does everything: with a key it is one of two in a transaction."""
        return database.transaction() if self.key else database.session(writes=True)

    async def earlier_answer(self, database: Database) -> Answer | None:
        """Return the answer that this request got before, if any.

        Raises:
            RefusedError: 422, the key was used with another body.
        """
        if not self.key:
            return None
        async with database.session() as session:
            row = await session.row(_FIND, (self.user_id, self.operation, self.key))
        if row is None:
            return None
        if row["fingerprint"] != self.fingerprint:
            raise RefusedError(422, "Idempotency-Key: this key was used with another body; choose a new one")
        return Answer(row["status"], row["answer"].encode())

    async def keep(self, session: Session, answer: Answer) -> None:
        """Keep ``answer`` in the transaction of its effect.

        Raises:
            AnsweredMeanwhileError: another request with this key was quicker; look for its answer.
        """
        if not self.key:
            return
        row = (self.user_id, self.operation, self.key, self.fingerprint, answer.status, answer.body.decode())
        if not await session.run(_KEEP, row):
            raise AnsweredMeanwhileError("another request with the same key was quicker")
