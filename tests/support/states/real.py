"""The real table next to its model: every step is taken on both, and has to come out the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from outbox_notify.operations import failed
from tests.support.states.model import ModelTable, Row

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    import psycopg

    from outbox_notify.postgres.storage import Pruned, Reclaimed, Storage
    from outbox_notify.relay.claims import Claim, ClaimedEvent, Wanted
    from outbox_notify.relay.outcomes import Outcome
    from tests.support.states.model import Limits

_INSERT = """
INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload, available_at)
VALUES ('acme', 'stock.moved', %(type)s, %(id)s, '{}', now() + %(delay)s * interval '1 second')
RETURNING id, ordering_key, event_id::text
"""
_ROWS = """
SELECT id, ordering_key AS key, event_id::text, status::text, attempts, claims, lease_token AS token,
    extract(epoch FROM created_at)::float8 AS created, extract(epoch FROM available_at)::float8 AS available,
    extract(epoch FROM lease_until)::float8 AS until, extract(epoch FROM published_at)::float8 AS published_at
FROM event_outbox
"""
# Time passes for the rows, since it cannot be made to pass for the server.
_AGE = """
UPDATE event_outbox SET created_at = created_at - by, available_at = available_at - by,
    lease_until = lease_until - by, published_at = published_at - by
FROM make_interval(secs => %s) AS by
"""
_STILL_RUNNING = """
SELECT writer FROM unnest(%s::bigint[]) AS writer WHERE pg_xact_status(writer::text::xid8) = 'in progress'
"""
_NEW = "TRUNCATE event_outbox RESTART IDENTITY"
_TIME = "SELECT extract(epoch FROM clock_timestamp())::float8"


class RealTable(ModelTable):
    """The table of a database, watched by its model.

    Args:
        limits: settings of all relays.
        conn: in autocommit mode, for everything that is not a relay's.
        storages: of each relay, by its name.
        writers: connections for transactions that stay open.
    """

    def __init__(
        self,
        limits: Limits,
        conn: psycopg.Connection,
        storages: Mapping[str, Storage],
        writers: Sequence[psycopg.Connection],
    ) -> None:
        super().__init__(limits)
        self._conn, self._storages, self._free = conn, storages, list(writers)
        self._writing: dict[int, psycopg.Connection] = {}
        for writer in writers:
            writer.rollback()
        conn.execute(_NEW)

    def pass_time(self, seconds: float) -> None:
        """Make every row older."""
        self._conn.execute(_AGE, [seconds])
        self._compare()

    async def begin(self, keys: Sequence[int | None], delay: float) -> int:
        """Insert rows in a transaction that stays open; return its id."""
        writer = self._free.pop()
        rows = []
        for key in keys:
            values = {"type": key and "bin", "id": key and str(key), "delay": delay}
            row_id, ordering_key, event_id = writer.execute(_INSERT, values).fetchone() or (0, None, "")
            rows.append(Row(row_id, ordering_key, event_id, self._time(), self._time() + delay))
        (transaction,) = writer.execute("SELECT pg_current_xact_id()::text::bigint").fetchone() or (0,)
        self.unseen[transaction], self._writing[transaction] = rows, writer
        return int(transaction)

    async def end(self, transaction: int, *, commit: bool) -> list[Row]:
        """End a transaction; return the rows that it has written."""
        writer = self._writing.pop(transaction)
        if commit:
            writer.commit()
        else:
            writer.rollback()
        self._free.append(writer)
        rows = await super().end(transaction, commit=commit)
        self._compare()
        return rows

    async def claim(self, relay: str, wanted: Wanted) -> Claim:
        """Claim from both."""
        wanted = self._without_strangers(wanted)
        self.now = self._time()
        claim = await self._storages[relay].claim(wanted)
        expected = self.claimed(wanted, claim.token)
        assert (claim.claimed, claim.suspect) == (expected.claimed, expected.suspect)
        assert sorted(claim.foreign) == expected.foreign
        assert replace(claim.scan, transactions=expected.scan.transactions) == expected.scan
        assert (claim.next_due_in is None) == (expected.next_due_in is None)
        self._compare()
        return claim

    async def read(self, relay: str, token: UUID) -> list[ClaimedEvent]:
        """Read from the real one."""
        events = await self._storages[relay].read(token)
        # A light batch was read with its claim, and may have been overtaken since.
        under = [row.id for row in self.under(token)]
        assert [event.id for event in events if event.id in under] == under
        return events

    async def settle(self, relay: str, token: UUID, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        """Settle in both."""
        overtaken = await self._storages[relay].settle(token, outcomes)
        assert overtaken == await super().settle(relay, token, outcomes)
        self._compare()
        return overtaken

    async def release(self, relay: str, token: UUID, reason: str) -> int:
        """Release in both."""
        released = await self._storages[relay].release(token, reason)
        assert released == await super().release(relay, token, reason)
        self._compare()
        return released

    async def reclaim(self, relay: str, rows: int) -> Reclaimed:
        """Reclaim from both."""
        self.now = self._time()
        reclaimed = await self._storages[relay].reclaim(rows)
        assert reclaimed == await super().reclaim(relay, rows)
        self._compare()
        return reclaimed

    async def prune(self, relay: str, after: int, rows: int) -> Pruned:
        """Prune both."""
        self.now = self._time()
        pruned = await self._storages[relay].prune(after, rows)
        assert pruned == await super().prune(relay, after, rows)
        self._compare()
        return pruned

    async def requeue(self, ids: Collection[int]) -> int:
        """Requeue in both."""
        requeued = failed.requeue(self._conn, "public", [list(ids)])
        assert requeued == await super().requeue(ids)
        self._compare()
        return requeued

    async def discard(self, ids: Collection[int]) -> int:
        """Discard from both."""
        discarded = failed.discard(self._conn, "public", [list(ids)])
        assert discarded == await super().discard(ids)
        self._compare()
        return discarded

    def _without_strangers(self, wanted: Wanted) -> Wanted:
        """Leave out transactions that run elsewhere on the server: the model knows nothing of them."""
        unknown = [writer for writer in wanted.running if writer not in self.unseen]
        running = {row[0] for row in self._conn.execute(_STILL_RUNNING, [unknown]).fetchall()}
        known = [
            pair for pair in zip(wanted.running, wanted.running_from, strict=True) if pair[0] not in running
        ]
        return replace(wanted, running=[pair[0] for pair in known], running_from=[pair[1] for pair in known])

    def _time(self) -> float:
        (now,) = self._conn.execute(_TIME.encode()).fetchone() or (0.0,)
        return float(now)

    def _compare(self) -> None:
        """Fail when the table is not as its model; take its times over: its clock alone counts."""
        with self._conn.cursor(row_factory=dict_row) as cursor:
            found = {row["id"]: row for row in cursor.execute(_ROWS).fetchall()}
        assert {row_id: _state(vars_of) for row_id, vars_of in found.items()} == {
            row.id: _state(_as_dict(row)) for row in self.rows.values()
        }
        for row in self.rows.values():
            times = found[row.id]
            row.created, row.available = times["created"], times["available"]
            row.until, row.published_at = times["until"] or 0.0, times["published_at"] or 0.0


def _as_dict(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__slots__}


def _state(columns: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(columns[name] for name in ("key", "event_id", "status", "attempts", "claims", "token"))
