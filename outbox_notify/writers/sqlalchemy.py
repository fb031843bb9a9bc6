"""`emit` on SQLAlchemy, in the transaction of a session or a connection, with whatever driver of PostgreSQL it has."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import InvalidRequestError, StatementError
from sqlalchemy.orm import Session, scoped_session

from outbox_notify.statements import with_colons
from outbox_notify.writers.connections import wrong_connection
from outbox_notify.writers.statements import NEEDS_TRANSACTION, Statement, writing

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

    from outbox_notify.events import Event


def emit(
    connection: Session | scoped_session[Any] | Connection,
    *events: Event,
    serialize: bool = False,
    schema: str = "public",
) -> list[UUID]:
    """Write events in the caller's transaction and return their ids, in the order of the arguments.

    All that is said of `outbox_notify.emit` holds. A session is flushed first, unless its `autoflush` is off: the
    events come behind the changes that they tell of, and behind the row locks that keep their order.

    Args:
        connection: a session or a connection. In the isolation level AUTOCOMMIT the events are a transaction of
            their own.
        events: written by one statement.
        serialize: let other writers of the same aggregates wait until this transaction ends.
        schema: where the outbox is.

    Raises:
        TypeError: not a synchronous session or connection of SQLAlchemy to PostgreSQL, or not an `Event`.
        sqlalchemy.exc.InvalidRequestError: `serialize` without a transaction that could hold the locks.
        sqlalchemy.exc.DBAPIError: whatever PostgreSQL refuses; the transaction is then aborted.
    """
    session = connection.registry() if isinstance(connection, scoped_session) else connection
    if not isinstance(session, Session | Connection):
        raise wrong_connection(
            "outbox_notify.writers.sqlalchemy.emit", "SQLAlchemy's Session or Connection", connection
        )
    if not events:
        return []
    event_ids, statements = writing(events, serialize=serialize)
    link = _flushed(session) if isinstance(session, Session) else session
    _check(link, serialize=serialize)
    for statement in statements:
        _run(link, statement, schema)
    return event_ids


async def emit_async(
    connection: AsyncSession | async_scoped_session[Any] | AsyncConnection,
    *events: Event,
    serialize: bool = False,
    schema: str = "public",
) -> list[UUID]:
    """Do as `emit` does, on SQLAlchemy's asynchronous sessions and connections."""
    # It cannot be imported without greenlet, which who is synchronous may not have.
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session  # noqa: PLC0415  # see above

    link = connection.registry() if isinstance(connection, async_scoped_session) else connection
    if not isinstance(link, AsyncSession | AsyncConnection):
        raise wrong_connection(
            "outbox_notify.writers.sqlalchemy.emit_async",
            "SQLAlchemy's AsyncSession or AsyncConnection",
            connection,
        )

    def write(synchronous: Session | Connection) -> list[UUID]:
        return emit(synchronous, *events, serialize=serialize, schema=schema)

    return await link.run_sync(write)


def _flushed(session: Session) -> Connection:
    """Return the session's connection once what the session holds back is written."""
    if session.autoflush:
        session.flush()
    return session.connection()


def _check(connection: Connection, *, serialize: bool) -> None:
    if connection.dialect.name != "postgresql":
        raise TypeError(f"the outbox is a table of PostgreSQL, not of {connection.dialect.name}")
    # Its isolation level would be a question to the server; this is the driver's own knowledge, in all of them.
    if serialize and getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise InvalidRequestError(NEEDS_TRANSACTION)


def _run(connection: Connection, statement: Statement, schema: str) -> None:
    """Run a statement, whose parameters, the bodies of events, must not be seen in the text of an error."""
    try:
        connection.execute(_text(statement.name, schema), statement.parameters).close()
    except StatementError as error:
        error.hide_parameters = True
        raise


@cache
def _text(name: str, schema: str) -> TextClause:
    return text(with_colons(name, schema))
