"""Writing what became of batches, also while PostgreSQL is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from outbox_notify.errors import DatabaseUnreachable, OutboxError
from outbox_notify.relay.leases import lease_clock
from outbox_notify.relay.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from outbox_notify.relay.batches import Batch
    from outbox_notify.relay.claims import ClaimedEvent
    from outbox_notify.relay.outcomes import Outcome
    from outbox_notify.relay.ports import Outbox, Report

FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0


class Settling:
    """Writes outcomes, those of several batches at a time.

    Args:
        outbox: the table.
        report: takes notes.
    """

    def __init__(self, outbox: Outbox, report: Report) -> None:
        self._outbox = outbox
        self._report = report
        self._unwritten: set[Batch] = set()
        self._nothing_unwritten = anyio.Event()
        self._nothing_unwritten.set()

    async def wait_writable(self) -> None:
        """Return when no outcome waits to be written: what is published while none can be is published again."""
        await self._nothing_unwritten.wait()

    async def write(self, batch: Batch, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        """Write outcomes, and go on trying while PostgreSQL is away: once it is back, most leases still stand.

        What it refuses for another reason is left to the sweep when the lease has run out, and so is what could not
        be read until then: the sweep counts how often, and so finds events that nobody can read or settle.

        Returns:
            How many events were no longer under the lease, or are left to its end.
        """
        try:
            return await self._write(batch, outcomes)
        finally:
            self._let_claims_go(batch)

    async def _write(self, batch: Batch, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        if not outcomes and lease_clock() >= batch.expires_at:
            return batch.claimed
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        while True:
            try:
                overtaken = await self._write_once(batch, outcomes)
            except OutboxError as error:
                self._report("settle.postponed", reason=str(error))
                is_outage = isinstance(error, DatabaseUnreachable)
                if lease_clock() >= batch.expires_at and not (outcomes and is_outage):
                    return len(outcomes)
                self._hold_up_claims(batch)
                await anyio.sleep(backoff.next())
            else:
                batch.written = True
                return overtaken + (batch.claimed - len(batch.tickets) if outcomes else 0)

    async def _write_once(self, batch: Batch, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        if outcomes:
            return await self._outbox.settle(batch.token, outcomes)
        await self._outbox.release(batch.token, "the relay stopped before it was read")
        return 0

    def _hold_up_claims(self, batch: Batch) -> None:
        self._unwritten.add(batch)
        if self._nothing_unwritten.is_set():
            self._nothing_unwritten = anyio.Event()

    def _let_claims_go(self, batch: Batch) -> None:
        self._unwritten.discard(batch)
        if not self._unwritten:
            self._nothing_unwritten.set()
