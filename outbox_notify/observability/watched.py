"""The table with a clock beside it: how long each call takes, when a batch has all its answers, when nobody answers."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from outbox_notify.errors import DatabaseUnreachable, OutboxError
from outbox_notify.relay.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID

    from outbox_notify.postgres.storage import Pruned, Reclaimed, Storage
    from outbox_notify.relay.claims import Claim, ClaimedEvent, Wanted
    from outbox_notify.relay.outcomes import Outcome
    from outbox_notify.relay.ports import Report

# Far more batches than a relay has in hand: those that are never settled are forgotten.
_REMEMBERED = 32


class WatchedOutbox:
    """Hands every call on to the table, and reports it.

    Args:
        storage: the table.
        report: takes notes.
    """

    def __init__(self, storage: Storage, report: Report) -> None:
        self._storage = storage
        self._report = report
        self._read_at: dict[UUID, float] = {}
        self._outage = Outage("postgres", report)
        self._away_at = 0.0

    async def claim(self, wanted: Wanted) -> Claim:
        """Take a lease on a batch of due events."""
        with self._timed("claim"):
            claim = await self._storage.claim(wanted)
        if claim.token is None and claim.scan.exhausted:
            self._report("claim.empty")
        return claim

    async def read(self, token: UUID) -> list[ClaimedEvent]:
        """Return the events under a lease, in write order."""
        with self._timed("read"):
            events = await self._storage.read(token)
        while len(self._read_at) >= _REMEMBERED:
            del self._read_at[next(iter(self._read_at))]
        self._read_at[token] = time.monotonic()
        return events

    async def settle(self, token: UUID, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        """Write what became of events; return how many of them another relay had taken over."""
        # Once: it is settled again and again while PostgreSQL is away, which says nothing about JetStream.
        if (began := self._read_at.pop(token, None)) is not None:
            self._report("batch.answered", outcomes=outcomes, seconds=time.monotonic() - began)
        with self._timed("settle"):
            return await self._storage.settle(token, outcomes)

    async def release(self, token: UUID, reason: str) -> int:
        """Give back whatever is still under a lease; return how many events that was."""
        self._read_at.pop(token, None)
        with self._timed("release"):
            return await self._storage.release(token, reason)

    async def reclaim(self, rows: int) -> Reclaimed:
        """Take over expired leases."""
        with self._timed("reclaim"):
            return await self._storage.reclaim(rows)

    async def prune(self, after: int, rows: int) -> Pruned:
        """Delete published events past retention, a step at a time."""
        with self._timed("prune"):
            return await self._storage.prune(after, rows)

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except OutboxError as error:
            self._asked(operation, began, error)
            raise
        # A call that was cancelled was not answered: nothing is known of it.
        self._asked(operation, began, None)

    def _asked(self, operation: str, began: float, error: OutboxError | None) -> None:
        now = time.monotonic()
        self._report("database.asked", operation=operation, seconds=now - began, error=error)
        if isinstance(error, DatabaseUnreachable):
            self._outage.begin(str(error))
            self._away_at = now
        elif error is None and began >= self._away_at:
            # What was asked before that may have been answered before that.
            self._outage.end()
