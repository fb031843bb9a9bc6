"""The table `event_inbox`: created at once, or as SQL for the consumer's own migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outbox_notify.postgres.queries import query
from outbox_notify.statements import statement

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection

_STATEMENTS = ("inbox_table", "inbox_index")


def table_sql(schema: str = "public") -> str:
    """Return the statements that create the table, to be put into a migration; they do nothing when it exists."""
    return "".join(f"{statement(name, schema)};\n" for name in _STATEMENTS)


def create_table(connection: Connection[Any], *, schema: str = "public") -> None:
    """Create the table unless it exists, in the caller's transaction, or else in one of its own.

    Processes that do so at the same time wait for each other.

    Raises:
        psycopg.Error: among others, there is no such schema, or no right to create tables in it.
    """
    with connection.transaction():
        for name in ("inbox_turn", *_STATEMENTS):
            connection.execute(query(name, schema))


async def create_table_async(connection: AsyncConnection[Any], *, schema: str = "public") -> None:
    """Do as `create_table` does, on psycopg's asynchronous connections."""
    async with connection.transaction():
        for name in ("inbox_turn", *_STATEMENTS):
            await connection.execute(query(name, schema))
