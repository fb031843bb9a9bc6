"""The outbox table as a model: what its statements promise, in Python, without a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID

from outbox_notify.postgres.storage import Pruned, Reclaimed
from outbox_notify.relay.claims import Claim, ClaimedEvent
from outbox_notify.relay.late_commits import Transactions
from outbox_notify.relay.leases import lease_clock
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested, Retry
from outbox_notify.relay.position import Scan
from tests.support.fakes import event
from tests.support.states.choice import choose

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from outbox_notify.relay.claims import Wanted


@dataclass(slots=True)
class Row:
    """A row of the table, as far as it matters here.

    Args:
        key: the ordering key.
        available: not before this time, on the clock of the table.
        token: the lease; None unless the row is in progress.
        returned: whether it has been tried, and came back.
    """

    id: int
    key: int | None
    event_id: str
    created: float
    available: float
    status: str = "pending"
    attempts: int = 0
    claims: int = 0
    token: UUID | None = None
    until: float = 0.0
    published_at: float = 0.0
    returned: bool = False

    @property
    def waits(self) -> bool:
        """Whether it waits for a time, or has waited for one."""
        return self.available > self.created

    def leave(self, status: str) -> None:
        """Give up the lease."""
        self.status, self.token = status, None


@dataclass(frozen=True)
class Limits:
    """What the settings of a relay say."""

    rows: int = 3
    lease: float = 30.0
    retry_in: float = 10.0
    max_claims: int = 3
    max_attempts: int = 3
    retention: float = 3600.0
    block: bool = False


@dataclass
class ModelTable:
    """The table.

    Args:
        limits: settings of all relays.
        rows: those that are committed, by id.
        unseen: those of transactions that have not ended, by transaction.
        now: the clock of the table.
    """

    limits: Limits
    rows: dict[int, Row] = field(default_factory=dict)
    unseen: dict[int, list[Row]] = field(default_factory=dict)
    now: float = 0.0
    _ids: count[int] = field(default_factory=lambda: count(1))
    _leases: count[int] = field(default_factory=lambda: count(1))
    _next_transaction: int = 100

    def pass_time(self, seconds: float) -> None:
        """Put the clock forward."""
        self.now += seconds

    async def begin(self, keys: Sequence[int | None], delay: float) -> int:
        """Insert rows in a transaction that stays open; return its id."""
        transaction = self._draw_transaction()
        rows = []
        for key in keys:
            row_id = next(self._ids)
            rows.append(Row(row_id, key, str(UUID(int=row_id)), self.now, self.now + delay))
        self.unseen[transaction] = rows
        return transaction

    async def end(self, transaction: int, *, commit: bool) -> list[Row]:
        """End a transaction; return the rows that it has written."""
        rows = self.unseen.pop(transaction)
        if commit:
            self.rows.update({row.id: row for row in rows})
        return rows if commit else []

    async def claim(self, relay: str, wanted: Wanted) -> Claim:
        """Take a lease on a batch of due events."""
        del relay
        return self.claimed(wanted, None)

    def claimed(self, wanted: Wanted, token: UUID | None) -> Claim:
        """Do as a claim that was given a token; without one it draws the next."""
        choice = choose(self, wanted)
        if choice.rows:
            token = token or UUID(int=next(self._leases) << 64)
        for row in choice.rows:
            row.status, row.claims = "in_progress", row.claims + 1
            row.token, row.until = token, self.now + self.limits.lease
        running, horizon = sorted(self.unseen), self._next_transaction
        transactions = Transactions(running, horizon, self._draw_transaction())
        scan = Scan(choice.frontier, choice.free, choice.exhausted, choice.passed, True, transactions)
        return Claim(
            token if choice.rows else None,
            len(choice.rows),
            choice.suspect,
            scan,
            choice.foreign,
            self._next_due(),
            leased_at=lease_clock(),
        )

    async def read(self, relay: str, token: UUID) -> list[ClaimedEvent]:
        """Return the events under a lease, in write order."""
        del relay
        return [event(row.id, row.key, attempts=row.attempts) for row in self.under(token)]

    async def settle(self, relay: str, token: UUID, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        """Write outcomes of what is still under the lease; return how many are not."""
        del relay
        held = {row.id for row in self.under(token)}
        for claimed, outcome in outcomes.items():
            if claimed.id in held:
                self._write(self.rows[claimed.id], outcome)
        return sum(claimed.id not in held for claimed in outcomes)

    async def release(self, relay: str, token: UUID, reason: str) -> int:
        """Give back whatever is still under a lease."""
        del relay, reason
        rows = self.under(token)
        for row in rows:
            row.leave("pending")
            row.claims, row.returned = 0, True
        return len(rows)

    async def reclaim(self, relay: str, rows: int) -> Reclaimed:
        """Take over expired leases."""
        del relay
        expired = [row for row in self.rows.values() if row.token is not None and row.until < self.now]
        taken = sorted(expired, key=lambda row: (row.token, row.id))[:rows]
        crashes = [row for row in taken if row.claims > self.limits.max_claims]
        for row in taken:
            row.leave("failed" if row in crashes else "pending")
            row.returned = True
        lowest = min((row.id for row in taken), default=0)
        return Reclaimed(len(taken) - len(crashes), len(crashes), lowest)

    async def prune(self, relay: str, after: int, rows: int) -> Pruned:
        """Delete published events past retention among the next rows."""
        del relay
        walked = [self.rows[row_id] for row_id in sorted(self.rows) if row_id > after][:rows]
        published = [row for row in walked if row.status == "published"]
        old = [row for row in published if row.published_at < self.now - self.limits.retention]
        for row in old:
            del self.rows[row.id]
        met_young = bool(published) and not old
        return Pruned(len(old), None if met_young or len(walked) < rows else walked[-1].id)

    async def requeue(self, ids: Collection[int]) -> int:
        """Give failed events back."""
        rows = self._failed(ids)
        for row in rows:
            row.status, row.attempts, row.claims, row.available, row.returned = (
                "pending",
                0,
                0,
                row.created,
                True,
            )
        return len(rows)

    async def discard(self, ids: Collection[int]) -> int:
        """Delete failed events."""
        rows = self._failed(ids)
        for row in rows:
            del self.rows[row.id]
        return len(rows)

    def under(self, token: UUID) -> list[Row]:
        """Return the rows under a lease, in write order."""
        return sorted((row for row in self.rows.values() if row.token == token), key=lambda row: row.id)

    def _failed(self, ids: Iterable[int]) -> list[Row]:
        return [row for row_id in ids if (row := self.rows.get(row_id)) and row.status == "failed"]

    def _write(self, row: Row, outcome: Outcome) -> None:
        row.claims = 0
        match outcome:
            case Published():
                row.leave("published")
                row.published_at, row.returned = self.now, row.attempts > 0
            case Retry():
                row.leave("pending")
                row.attempts, row.available, row.returned = (
                    row.attempts + 1,
                    self.now + self.limits.retry_in,
                    True,
                )
            case Released() | Rested():
                row.leave("pending")
                row.returned = True
            case Failed(_, counted):
                row.leave("failed")
                row.attempts, row.returned = row.attempts + counted, True

    def _next_due(self) -> float | None:
        waiting = [row.available for row in self.rows.values() if row.status == "pending" and row.waits]
        later = [available for available in waiting if available > self.now]
        return min(later) - self.now if later else None

    def _draw_transaction(self) -> int:
        self._next_transaction += 1
        return self._next_transaction - 1
