"""The events of a lease, read; and what of them PostgreSQL itself cannot show, or this relay cannot hold.

One body can keep all others from being read with it: it is no text in the encoding that the database is said to have,
too long as text, or damaged on disk. Then each is read alone, and who cannot be read that way says why. So is what
stands first and takes more room than there is for all: the relay must get on. For what comes behind it there is none.
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
# What no stream takes: JetStream refuses records half as large.
_LARGEST = 64 * 1024 * 1024


def may_be_a_body(error: OutboxError) -> bool:
    """Return whether a body that cannot be read, or hardly, may be the reason for an error."""
    return isinstance(error.__context__, _UNREADABLE + _TOO_HEAVY)


async def read_events(pool: Pool, schema: str, token: UUID, room: int) -> list[ClaimedEvent]:
    """Return the events under a lease, in write order; those that cannot be read have a flaw, and nothing else.

    Args:
        pool: of the relay.
        schema: of the outbox.
        token: the lease.
        room: bytes that the bodies may take; from where they take more on, events come without them. The first comes
            with its body in any case.

    Raises:
        OutboxError: PostgreSQL cannot be reached, or refuses.
    """
    try:
        events = await _events(pool, schema, "read_bodies", token=token, only=None, room=room)
    except OutboxError as error:
        if not isinstance(error.__context__, _UNREADABLE):
            raise
        events = await _events(pool, schema, "read_outlines", token=token)
    if not events or events[0].body is not None:
        return events
    return await _one_by_one(pool, schema, token, events, room)


async def _one_by_one(
    pool: Pool, schema: str, token: UUID, outlines: list[ClaimedEvent], room: int
) -> list[ClaimedEvent]:
    """Read events each alone while there is room; one that was overtaken meanwhile is left out."""
    events: list[ClaimedEvent] = []
    for outline in outlines:
        read = await _alone(pool, schema, token, outline) if room > 0 else [outline]
        events += read
        room -= sum(len(event.body or b"") for event in read)
    return events


async def _alone(pool: Pool, schema: str, token: UUID, outline: ClaimedEvent) -> list[ClaimedEvent]:
    try:
        events = await _events(pool, schema, "read_bodies", token=token, only=outline.id, room=_LARGEST)
    except OutboxError as error:
        if not isinstance(error.__context__, _UNREADABLE):
            raise
        outline.flaw = str(error)
        return [outline]
    for event in events:
        if event.body is None:
            event.flaw = "its body is larger than 64 MiB, which no stream takes"
    return events


async def _events(pool: Pool, schema: str, name: str, **parameters: object) -> list[ClaimedEvent]:
    async def statements(conn: Link) -> list[ClaimedEvent]:
        async with conn.transaction():
            await conn.execute(query("read_begin", schema))
            cursor = conn.cursor(row_factory=args_row(ClaimedEvent), binary=True)
            await cursor.execute(query(name, schema), parameters)
            return await cursor.fetchall()

    events: list[ClaimedEvent] = await pool.run(statements)
    return events
