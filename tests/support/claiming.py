"""The relay's side of the table, one call at a time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from outbox_notify.config.settings import Settings
from outbox_notify.postgres.storage import Storage
from outbox_notify.relay.claims import Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from outbox_notify.relay.claims import Claim, ClaimedEvent
    from outbox_notify.relay.outcomes import Outcome

EVERYTHING = Wanted(
    start=0,
    running=[],
    running_from=[],
    scan=1000,
    bytes=10_000_000,
    own=[],
    foreign=[],
    seen_to=UUID(int=0),
    passed={},
    held=[],
    resting=[],
    resting_tenants=[],
)
LEASE, RETRY_IN = 30.0, 60.0


class Desk:
    """A storage, and a plain connection for looking and for doing what only a test would.

    Args:
        storage: as one relay has it.
        conn: in autocommit mode.
    """

    def __init__(self, storage: Storage, conn: psycopg.Connection) -> None:
        self.storage = storage
        self.conn = conn

    async def claim(self, **changes: Any) -> Claim:
        """Claim what there is; changes are to what is wanted."""
        return await self.storage.claim(replace(EVERYTHING, **changes))

    async def take(self, **changes: Any) -> tuple[UUID, list[ClaimedEvent]]:
        """Claim something and read it."""
        claim = await self.claim(**changes)
        assert claim.token is not None, "nothing was claimed"
        return claim.token, await self.storage.read(claim.token)

    async def taken(self, **changes: Any) -> list[int]:
        """Claim, and return the ids of the events, in the order in which they are read."""
        claim = await self.claim(**changes)
        return [] if claim.token is None else [event.id for event in await self.storage.read(claim.token)]

    async def settle(self, outcome: Outcome, **changes: Any) -> list[int]:
        """Claim, settle all of it with one outcome, and return the ids."""
        token, events = await self.take(**changes)
        assert await self.storage.settle(token, dict.fromkeys(events, outcome)) == 0
        return [event.id for event in events]

    def row(self, row_id: int) -> dict[str, Any]:
        """Return a row as it is."""
        with self.conn.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute("SELECT * FROM event_outbox WHERE id = %s", [row_id]).fetchone()
        assert found is not None
        return found

    def change(self, row_id: int, **columns: Any) -> None:
        """Set columns of a row by hand; values are SQL."""
        assignments = ", ".join(f"{name} = {value}" for name, value in columns.items())
        self.conn.execute(f"UPDATE event_outbox SET {assignments} WHERE id = {row_id}".encode())  # noqa: S608  # ours

    def expire_leases(self) -> None:
        """Let every lease run out now."""
        self.conn.execute(
            "UPDATE event_outbox SET lease_until = now() - interval '1 s' WHERE status = 'in_progress'"
        )


@asynccontextmanager
async def claiming(url: str, **settings: Any) -> AsyncIterator[Desk]:
    """Open the table of a database as a relay does."""
    values = {"batch_size": 100, "lease": LEASE, "relay_id": "one", **settings}
    storage = Storage(Settings(database_url=url, **values), lambda _attempt: RETRY_IN)
    async with storage.opened():
        with psycopg.connect(url, autocommit=True) as conn:
            yield Desk(storage, conn)
