"""The inbox on SQLAlchemy: sessions and connections, with whatever driver of PostgreSQL they use."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from outbox_notify.inbox.note import note
from outbox_notify.statements import with_colons

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession


def first_time(
    connection: Session | Connection, consumer: str, event_id: UUID | str, *, schema: str = "public"
) -> bool:
    """Note in the caller's transaction that a consumer handles an event; return False when it has done so before.

    All that is said of `outbox_notify.inbox.first_time` holds. A session is not flushed.

    Args:
        connection: a session or a connection, whose transaction must also hold the effect of the event.
        consumer: the same name for all processes that share the effect.
        event_id: the header `ce-id`.
        schema: where the table `event_inbox` is.

    Raises:
        sqlalchemy.exc.InvalidRequestError: it commits by itself: the note would stay, even if the effect failed.
        InvalidEvent: not a UUID, or no name.
        sqlalchemy.exc.DBAPIError: whatever PostgreSQL refuses.
    """
    values = note(consumer, event_id)
    link = connection.connection() if isinstance(connection, Session) else connection
    # Its isolation level would be a question to the server; this is the driver's own knowledge, in all of them.
    if getattr(link.connection.dbapi_connection, "autocommit", False):
        raise InvalidRequestError("the inbox needs the transaction that holds the effect of the event")
    return bool(link.execute(_statement(schema), values).rowcount == 1)


async def first_time_async(
    connection: AsyncSession | AsyncConnection, consumer: str, event_id: UUID | str, *, schema: str = "public"
) -> bool:
    """Do as `first_time` does, on asynchronous sessions and connections."""

    def ask(link: Session | Connection) -> bool:
        return first_time(link, consumer, event_id, schema=schema)

    return bool(await connection.run_sync(ask))


@cache
def _statement(schema: str) -> TextClause:
    return text(with_colons("inbox_first_time", schema))
