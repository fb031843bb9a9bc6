"""The events of a lease, read; and what of them PostgreSQL itself cannot show.

One body can keep all others from being read with it: it is no text in the encoding that the database is said to have,
too long as text, or damaged on disk. Then each is read alone, and who cannot be read that way says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import args_row

from outbox_notify.errors import OutboxError
from outbox_notify.postgres.queries import query
from outbox_notify.relay.claims import ClaimedEvent

if TYPE_CHECKING:
    from uuid import UUID

    from outbox_notify.postgres.pool import Pool
    from outbox_notify.postgres.transaction import Link

# Data exception, program limit exceeded, internal error (as for damaged rows): the same whenever it is tried.
_UNREADABLE = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, psycopg.InternalError)
# What may be the fault of a body as well: it takes too long, or too much memory.
_TOO_HEAVY = (psycopg.errors.QueryCanceled, psycopg.errors.OutOfMemory)


def may_be_a_body(error: OutboxError) -> bool:
    """Return whether a body that cannot be read, or hardly, may be the reason for an error."""
    return isinstance(error.__context__, _UNREADABLE + _TOO_HEAVY)


async def read_events(pool: Pool, schema: str, token: UUID) -> list[ClaimedEvent]:
    """Return the events under a lease, in write order; those that cannot be read have a flaw, and nothing else.

    Raises:
        OutboxError: PostgreSQL cannot be reached, or refuses.
    """
    try:
        return await _events(pool, schema, "read_bodies", token=token, only=None)
    except OutboxError as error:
        if not isinstance(error.__context__, _UNREADABLE):
            raise
    outlines = await _events(pool, schema, "read_outlines", token=token)
    # An event that was overtaken meanwhile is left out.
    return [event for outline in outlines for event in await _alone(pool, schema, token, outline)]


async def _alone(pool: Pool, schema: str, token: UUID, outline: ClaimedEvent) -> list[ClaimedEvent]:
    try:
        return await _events(pool, schema, "read_bodies", token=token, only=outline.id)
    except OutboxError as error:
        if not isinstance(error.__context__, _UNREADABLE):
            raise
        outline.flaw = str(error)
    return [outline]


async def _events(pool: Pool, schema: str, name: str, **parameters: object) -> list[ClaimedEvent]:
    async def statements(conn: Link) -> list[ClaimedEvent]:
        async with conn.transaction():
            await conn.execute(query("read_begin", schema))
            cursor = conn.cursor(row_factory=args_row(ClaimedEvent), binary=True)
            await cursor.execute(query(name, schema), parameters)
            return await cursor.fetchall()

    events: list[ClaimedEvent] = await pool.run(statements)
    return events
