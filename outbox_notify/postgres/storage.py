"""The relay's side of PostgreSQL: claim, read, settle, reclaim, prune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from outbox_notify.errors import OutboxError
from outbox_notify.postgres.bodies import may_be_a_body, read_events
from outbox_notify.postgres.outcome_columns import OutcomeColumns
from outbox_notify.postgres.pool import Pool
from outbox_notify.relay.claims import Claim, ClaimedEvent, Wanted
from outbox_notify.relay.late_commits import Transactions
from outbox_notify.relay.leases import lease_clock
from outbox_notify.relay.position import MOST_PASSED_KEYS, Passed, Scan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    from outbox_notify.config.settings import Settings
    from outbox_notify.relay.outcomes import Outcome

# A claim tells more than can be noted: rows without an aggregate, and tenants that rest as a whole, take no note.
_REMEMBERED = MOST_PASSED_KEYS * 5 // 4
# What is read together with its claim: so little that the sockets between a frozen relay and PostgreSQL hold it.
_LIGHT_ROWS, _LIGHT_BYTES = 8, 8192


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What became of expired leases; `lowest` is the lowest id among them, 0 when there was none."""

    reclaimed: int
    failed: int
    lowest: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """How far a step of pruning came; `go_on_after` is None when there is nothing more to do for now."""

    pruned: int
    go_on_after: int | None


class Storage:
    """The outbox table, as one relay sees it. Every write after a claim names its lease.

    Args:
        settings: database, schema, limits and names.
        retry_in: seconds to wait before the next attempt, given the number of failed ones.
    """

    def __init__(self, settings: Settings, retry_in: Callable[[int], float]) -> None:
        self._schema = settings.schema
        self._retention = settings.retention
        self._limits = {
            "ordered": settings.ordering == "aggregate",
            "block": settings.on_failed == "block",
            "rows": settings.batch_size,
            "max_claims": settings.max_claims,
            "lease": settings.lease,
            "relay": settings.relay_id,
            "remember": _REMEMBERED,
            "light_rows": _LIGHT_ROWS,
            "light_bytes": _LIGHT_BYTES,
        }
        # A claim keeps to less by what is stored; what that becomes, only reading tells.
        self._room = settings.max_in_flight_bytes
        self._pool = Pool(settings)
        self._columns = OutcomeColumns(retry_in, delete=settings.retention == 0)
        self._read_already: dict[UUID, list[ClaimedEvent]] = {}

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Hold the connections open; nothing is reached for until it is needed."""
        return self._pool.opened()

    async def claim(self, wanted: Wanted) -> Claim:
        """Take a lease on a batch of due events.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses.
        """
        try:
            return await self._claimed(wanted, opening=True)
        except OutboxError as error:
            if not may_be_a_body(error):
                raise
        return await self._claimed(wanted, opening=False)

    async def _claimed(self, wanted: Wanted, *, opening: bool) -> Claim:
        asked = {name: getattr(wanted, name) for name in Wanted.__slots__}
        parameters = {**self._limits, **asked, "passed": Jsonb(wanted.passed), "opening": opening}

        asked_at: list[float] = []
        [begun], [row], light = await self._pool.transaction(
            ("claim_begin", {}),
            ("claim", parameters),
            ("read_bodies", {"token": None, "only": None, "room": _LIGHT_BYTES}),
            on_try=lambda: asked_at.append(lease_clock()),
        )
        events = [ClaimedEvent(*event) for event in light]
        # Of this claim only: what came with an older one and was never asked for has outlived its lease.
        self._read_already = {row.token: events} if all(event.body is not None for event in events) else {}
        # Told by a clock that may be set meanwhile; but the wait was no longer than the whole question.
        leased_at = min(asked_at[-1] + max(row.waited, 0.0), lease_clock())
        return _claim(row, begun, leased_at)

    async def read(self, token: UUID) -> list[ClaimedEvent]:
        """Return the events under a lease, in write order; those that cannot be read with a flaw.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses.
        """
        if events := self._read_already.pop(token, None):
            return events
        return await read_events(self._pool, self._schema, token, self._room)

    async def settle(self, token: UUID, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        """Write what became of the events of a lease.

        Returns:
            How many of them were no longer under the lease: overtaken, and left alone.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses; nothing was written.
        """
        try:
            return await self._settle(token, outcomes)
        except OutboxError as error:
            if self._columns.ascii_only or not isinstance(
                error.__context__, psycopg.errors.UntranslatableCharacter
            ):
                raise
        # The database has an encoding that does not know all letters, and a reason one of those.
        self._columns.ascii_only = True
        return await self._settle(token, outcomes)

    async def _settle(self, token: UUID, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        steps = [(name, {"token": token, **columns}) for name, columns in self._columns.by_kind(outcomes)]
        _, *rows = await self._pool.transaction(("settle_begin", {}), *steps)
        return len(outcomes) - sum(int(row.count) for [row] in rows)

    async def release(self, token: UUID, reason: str) -> int:
        """Give back whatever is still under a lease; return how many events that was.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses.
        """
        row = await self._one("release", token=token, reason=reason)
        return int(row.count)

    async def reclaim(self, rows: int) -> Reclaimed:
        """Take over expired leases, at most `rows` events of them.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses.
        """
        row = await self._one("reclaim", rows=rows, max_claims=self._limits["max_claims"])
        return Reclaimed(row.reclaimed, row.failed, row.lowest)

    async def prune(self, after: int, rows: int) -> Pruned:
        """Delete published events past retention among the next `rows` rows after an id.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses.
        """
        row = await self._one("prune", after=after, rows=rows, retention=self._retention)
        return Pruned(row.pruned, None if row.met_young else row.go_on_after)

    async def ask_for_scan(self) -> None:
        """Wake sleeping relays for a look at the whole table.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses.
        """
        await self._one("notify_scan")

    async def held(self) -> list[Any]:
        """Return which relays hold events, how many, and for how many more seconds at least.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses.
        """
        _, rows = await self._pool.transaction(("settle_begin", {}), ("status_relays", {}))
        return rows

    async def _one(self, name: str, **parameters: object) -> Any:
        _, [row] = await self._pool.transaction(("settle_begin", {}), (name, parameters))
        return row


def _claim(row: Any, begun: Any, leased_at: float) -> Claim:
    passed = [
        Passed(tenant, key, first, rests)
        for tenant, key, first, rests in zip(
            row.passed_tenants, row.passed_keys, row.passed_ids, row.passed_rests, strict=True
        )
    ]
    scan = Scan(
        row.frontier,
        row.free,
        row.exhausted,
        passed,
        len(passed) < _REMEMBERED,
        Transactions(list(row.running), row.horizon, row.own),
    )
    return Claim(
        row.token,
        row.claimed,
        row.suspect,
        scan,
        list(row.foreign),
        row.next_due_in,
        begun.server,
        row.pause_ends_in,
        begun.place,
        leased_at=leased_at,
    )
