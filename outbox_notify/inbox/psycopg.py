"""The inbox on psycopg's connections. Errors of psycopg pass through: they belong to the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor, ProgrammingError
from psycopg.pq import TransactionStatus

from outbox_notify.inbox.note import note
from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from uuid import UUID


def first_time(
    connection: Connection[Any], consumer: str, event_id: UUID | str, *, schema: str = "public"
) -> bool:
    """Note in the caller's transaction that a consumer handles an event; return False when it has done so before.

    While another transaction handles the same event, this waits for its end, then returns False, or True when that
    one rolled back. Under REPEATABLE READ and SERIALIZABLE it raises `SerializationFailure` where it would return
    False after such a wait: run the whole transaction again, as for any other.

    Args:
        connection: in a transaction, which must also hold the effect of the event.
        consumer: the same name for all processes that share the effect; another effect takes another name.
        event_id: the header `ce-id`, which replays keep; not `Nats-Msg-Id`, which they renew.
        schema: where the table `event_inbox` is.

    Raises:
        psycopg.ProgrammingError: there is no transaction: the note would stay, even if the effect failed.
        InvalidEvent: not a UUID, or no name.
        psycopg.Error: whatever PostgreSQL refuses; the transaction is then aborted.
    """
    values = note(consumer, event_id)
    _require_transaction(connection)
    with Cursor(connection) as cursor:
        return cursor.execute(query("inbox_first_time", schema), values).rowcount == 1


async def first_time_async(
    connection: AsyncConnection[Any], consumer: str, event_id: UUID | str, *, schema: str = "public"
) -> bool:
    """Do as `first_time` does, on psycopg's asynchronous connections."""
    values = note(consumer, event_id)
    _require_transaction(connection)
    async with AsyncCursor(connection) as cursor:
        return (await cursor.execute(query("inbox_first_time", schema), values)).rowcount == 1


def _require_transaction(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise ProgrammingError("the inbox needs the transaction that holds the effect of the event")
