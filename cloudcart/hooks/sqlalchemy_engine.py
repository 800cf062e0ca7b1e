"""Faults in the statements of a SQLAlchemy engine, synchronous or asynchronous: an event before each is executed.

``Hooks.sqlalchemy_engine`` attaches it. A refused statement is an OperationalError, as when the database is away.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from cloudcart.exceptions import CloudCartError, ConnectionCutError
from cloudcart.hooks.gate import Gate

if TYPE_CHECKING:
    from sqlalchemy import Connection

AnyEngine = TypeVar("AnyEngine")


def attach(engine: AnyEngine, gate: Gate) -> AnyEngine:
    """Let faults act on each statement of ``engine`` from now on, and return it."""
    from sqlalchemy import event

    event.listen(getattr(engine, "sync_engine", engine), "before_cursor_execute", partial(_before, gate))
    return engine


def _before(gate: Gate, connection: Connection, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
    if not gate.active.any:
        return
    try:
        if connection.dialect.is_async:
            driver: Any = connection.connection.dbapi_connection
            driver.run_async(lambda _driver: gate.pass_through())
        else:
            gate.wait()
    except (CloudCartError, TimeoutError) as error:
        raise _as_sqlalchemy(error, connection, statement, parameters) from None


def _as_sqlalchemy(error: Exception, connection: Connection, statement: str, parameters: Any) -> Exception:
    """Return the error by which SQLAlchemy would tell what happened; a cut connection leaves the pool."""
    from sqlalchemy.exc import OperationalError

    cut = isinstance(error, ConnectionCutError)
    if cut:
        connection.invalidate(error)
    return OperationalError(statement, parameters, error, connection_invalidated=cut)
