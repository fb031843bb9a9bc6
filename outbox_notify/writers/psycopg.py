"""`emit` on psycopg, in the caller's transaction.

It never commits, never opens a connection and never reads a result, so it needs no right but INSERT and works
in pipeline mode too. psycopg's errors pass through unchanged: they belong to the caller's transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor, ProgrammingError
from psycopg.pq import TransactionStatus
from psycopg.rows import scalar_row

from outbox_notify.postgres.queries import query
from outbox_notify.writers.connections import wrong_connection
from outbox_notify.writers.statements import NEEDS_TRANSACTION, writing

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from uuid import UUID

    from outbox_notify.events import Event

AnyConnection: TypeAlias = Connection[Any] | AsyncConnection[Any]


def emit(
    connection: Connection[Any] | Cursor[Any],
    *events: Event,
    serialize: bool = False,
    schema: str = "public",
) -> list[UUID]:
    """Write events in the caller's transaction and return their ids, in the order of the arguments.

    An event whose id is in the outbox already is left out without an error. A cursor serves only to find its
    connection: results it still holds stay readable.

    Args:
        connection: psycopg's connection or cursor. In autocommit mode outside a transaction block the events
            are a transaction of their own.
        events: written by one statement; the order of their row ids is the order of the arguments.
        serialize: let other writers of the same aggregates that serialize too wait until this transaction
            ends, so that the order of ids is the order of commits. For writers that do not lock what they
            change. One call takes its locks in sorted order; several calls in one transaction may deadlock.
        schema: where the outbox is.

    Raises:
        TypeError: not a synchronous connection of psycopg, or not an `Event`.
        psycopg.ProgrammingError: `serialize` without a transaction that could hold the locks.
        psycopg.Error: whatever PostgreSQL refuses; the transaction is then aborted.
    """
    link = connection.connection if isinstance(connection, Cursor) else connection
    if not isinstance(link, Connection):
        raise wrong_connection("outbox_notify.emit", "psycopg's Connection or Cursor", connection)
    if not events:
        return []
    event_ids, statements = writing(events, serialize=serialize)
    _check_transaction(link, serialize=serialize)
    with Cursor(link) as cursor:
        for name, parameters in statements:
            cursor.execute(query(name, schema), parameters)
    return event_ids


async def emit_async(
    connection: AsyncConnection[Any] | AsyncCursor[Any],
    *events: Event,
    serialize: bool = False,
    schema: str = "public",
) -> list[UUID]:
    """Do as `emit` does, on psycopg's asynchronous connections and cursors."""
    link = connection.connection if isinstance(connection, AsyncCursor) else connection
    if not isinstance(link, AsyncConnection):
        raise wrong_connection(
            "outbox_notify.emit_async", "psycopg's AsyncConnection or AsyncCursor", connection
        )
    if not events:
        return []
    event_ids, statements = writing(events, serialize=serialize)
    _check_transaction(link, serialize=serialize)
    async with AsyncCursor(link) as cursor:
        for name, parameters in statements:
            await cursor.execute(query(name, schema), parameters)
    return event_ids


def time_after(connection: Connection[Any], delay: timedelta) -> datetime:
    """Return the time after a delay by the clock of the database, the only one that decides what is due."""
    with Cursor(connection, row_factory=scalar_row) as cursor:
        time: datetime = cursor.execute(query("time_after", "public"), {"delay": delay}).fetchall()[0]
    return time


def _check_transaction(connection: AnyConnection, *, serialize: bool) -> None:
    if serialize and connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise ProgrammingError(NEEDS_TRANSACTION)
