"""`emit` on asyncpg, in the caller's transaction; asyncpg's errors pass through unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncpg import Connection, InterfaceError

from outbox_notify.statements import numbered
from outbox_notify.writers.connections import wrong_connection
from outbox_notify.writers.statements import NEEDS_TRANSACTION, writing

if TYPE_CHECKING:
    from uuid import UUID

    from asyncpg.pool import PoolConnectionProxy

    from outbox_notify.events import Event


async def emit(
    connection: Connection | PoolConnectionProxy,
    *events: Event,
    serialize: bool = False,
    schema: str = "public",
) -> list[UUID]:
    """Write events in the caller's transaction and return their ids, in the order of the arguments.

    All that is said of `outbox_notify.emit` holds.

    Args:
        connection: of asyncpg, or of its pool. Outside `connection.transaction()` the events are a transaction of
            their own.
        events: written by one statement.
        serialize: let other writers of the same aggregates wait until this transaction ends.
        schema: where the outbox is.

    Raises:
        TypeError: not a connection of asyncpg, or not an `Event`.
        asyncpg.InterfaceError: `serialize` without a transaction that could hold the locks.
        asyncpg.PostgresError: whatever PostgreSQL refuses; the transaction is then aborted.
    """
    if not isinstance(connection, Connection):
        raise wrong_connection("outbox_notify.writers.asyncpg.emit", "asyncpg's Connection", connection)
    if not events:
        return []
    event_ids, statements = writing(events, serialize=serialize)
    if serialize and not connection.is_in_transaction():
        raise InterfaceError(NEEDS_TRANSACTION)
    for name, parameters in statements:
        statement = numbered(name, schema)
        await connection.execute(statement.text, *(parameters[key] for key in statement.names))
    return event_ids
