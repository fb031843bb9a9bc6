"""Which rows a claim takes and which it leaves, as `sql/claim.sql` says it: the same rules, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox_notify.relay.position import Passed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from outbox_notify.relay.claims import Wanted
    from tests.support.states.model import ModelTable, Row

TENANT, ROUTE = "acme", "acme.stock.moved"


@dataclass(frozen=True)
class Choice:
    """What a claim takes, and what it tells of the rest."""

    rows: list[Row]
    suspect: bool
    frontier: int
    free: int
    exhausted: bool
    passed: list[Passed]
    foreign: list[UUID]


def choose(table: ModelTable, wanted: Wanted) -> Choice:
    """Return what a claim takes."""
    pending = [table.rows[row_id] for row_id in sorted(table.rows) if table.rows[row_id].status == "pending"]
    foreign = _foreign(table, wanted)
    busy = {row.key for row in foreign if row.key is not None} | set(wanted.held)
    rests = ROUTE in wanted.resting or TENANT in wanted.resting_tenants
    start = _start(table, wanted)
    scanned = [row for row in pending if not row.waits and row.id >= start][: wanted.scan]
    exhausted = len(scanned) < wanted.scan
    reach = scanned[-1].id if scanned else start - 1
    held = {
        row.id for row in scanned if row.key is not None and (row.key in busy or row.key in wanted.passed)
    }
    waiting = [] if rests else _waiting(table, pending, wanted, busy, None if exhausted else reach)
    candidates = [row for row in scanned if not rests and row.id not in held] + waiting
    barrier = _barriers(table, pending, candidates, scanned if rests else [])
    free = [row for row in candidates if row.key not in barrier or row.id < barrier[row.key]]
    chosen = _cut(table, sorted(free, key=lambda row: row.id))
    taken = {row.id for row in chosen}
    left = [row.id for row in free if row in scanned and row.id not in taken]
    frontier = min(left) - 1 if left else reach
    return Choice(
        chosen,
        any(row.claims >= table.limits.max_claims for row in chosen),
        frontier,
        len(free),
        exhausted and len(free) == len(chosen),
        _passed((row for row in scanned if row.id <= frontier and row.id not in taken), rests=rests),
        sorted({row.token for row in foreign if row.token is not None}),
    )


def _start(table: ModelTable, wanted: Wanted) -> int:
    ended = [
        first
        for writer, first in zip(wanted.running, wanted.running_from, strict=True)
        if writer not in table.unseen
    ]
    return min([wanted.start, *ended])


def _foreign(table: ModelTable, wanted: Wanted) -> list[Row]:
    return [
        row
        for row in table.rows.values()
        if row.token is not None
        and (row.token in wanted.foreign or (row.token > wanted.seen_to and row.token not in wanted.own))
    ]


def _waiting(
    table: ModelTable, pending: list[Row], wanted: Wanted, busy: set[int], reach: int | None
) -> list[Row]:
    """Return what waited for a time that has come, unless something of its aggregate is in its way."""

    def may_go(row: Row) -> bool:
        if row.key is None:
            return True
        if (
            (reach is not None and row.id > reach)
            or row.key in busy
            or wanted.passed.get(row.key, row.id) < row.id
        ):
            return False
        earlier = [other for other in pending if other.key == row.key and other.id < row.id]
        if any(other.returned and other.available > row.available for other in earlier):
            return False
        return not (table.limits.block and _failed_before(table, row))

    due = [row for row in pending if row.waits and row.available <= table.now and may_go(row)]
    return sorted(due, key=lambda row: (row.available, row.id))[: table.limits.rows]


def _failed_before(table: ModelTable, row: Row) -> bool:
    return any(
        other.status == "failed" and other.key == row.key and other.id < row.id
        for other in table.rows.values()
    )


def _barriers(
    table: ModelTable, pending: list[Row], candidates: list[Row], resting: list[Row]
) -> dict[int | None, int]:
    """Return, by key, the first event that came back, failed, or rests, and is not taken now."""
    returned = [row for row in pending if row.returned and row not in candidates]
    failed = [row for row in table.rows.values() if row.status == "failed" and table.limits.block]
    barriers: dict[int | None, int] = {}
    for row in (*returned, *failed, *resting):
        if row.key is not None:
            barriers[row.key] = min(row.id, barriers.get(row.key, row.id))
    return barriers


def _cut(table: ModelTable, free: list[Row]) -> list[Row]:
    """Return the first rows of a batch; one that may crash relays goes alone."""
    chosen = free[:1]
    for row in free[1 : table.limits.rows]:
        if any(other.claims >= table.limits.max_claims for other in (*chosen, row)):
            break
        chosen.append(row)
    return chosen


def _passed(rows: Iterable[Row], *, rests: bool) -> list[Passed]:
    first: dict[int | None, int] = {}
    for row in rows:
        first.setdefault(row.key, row.id)
    return [
        Passed(TENANT, key, row_id, rests) for key, row_id in sorted(first.items(), key=lambda item: item[1])
    ]
