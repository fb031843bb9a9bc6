"""The table: whether autovacuum keeps up with it, who keeps it from that, and whether its ids go up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox_notify.operations.doctor.findings import Subject, Verdict, fail, ok, warn
from outbox_notify.operations.doctor.looking import looking

if TYPE_CHECKING:
    import psycopg

    from outbox_notify.config.settings import Settings

# Autovacuum starts at its threshold, and works for a while: only several times that means that it does not keep up.
_BEHIND = 5
LONG = 300.0
_MANY_TRANSACTIONS = 1_000_000

TABLE: Subject[Table] = Subject("table", "outbox-notify status")


@dataclass(frozen=True)
class Vacuum:
    """What doctor_table.sql returns.

    Args:
        autovacuum: whether the server does it at all; `enabled`: for this table.
        starts_at: dead rows from which on it does.
        vacuumed_ago: seconds; None when it never was.
    """

    autovacuum: bool
    enabled: bool
    live: int
    dead: int
    starts_at: float
    vacuumed_ago: float | None


@dataclass(frozen=True)
class Holder:
    """Who holds the horizon longest.

    Args:
        kind: `session`, `prepared transaction` or `replication slot`.
        name: its pid or name.
        transactions: how many have begun since.
        seconds: since it began; None when the role may not know.
        state: whose it is, and what it does.
        mend: the statement that ends it.
    """

    kind: str
    name: str
    transactions: int
    seconds: float | None
    state: str
    mend: str


@dataclass(frozen=True)
class Ids:
    """What doctor_ids.sql returns.

    Args:
        sequence: that gives the ids.
        highest: id that is there; None when the table is empty.
        last: id that was given; None where the role may not know.
        below: how many events wait with an id below zero.
    """

    sequence: str | None
    highest: int | None
    last: int | None
    below: int


@dataclass(frozen=True)
class Table:
    """How the table is served."""

    name: str
    vacuum: Vacuum
    holder: Holder | None
    ids: Ids


def look(conn: psycopg.Connection, settings: Settings) -> Table:
    """Ask how the table is served.

    Raises:
        OutboxError: the server does not answer, or refuses.
    """
    with looking(conn, settings.schema) as outbox:
        [vacuum] = outbox.rows("doctor_table", Vacuum)
        holders = outbox.rows("doctor_horizon", Holder)
        [ids] = outbox.rows("doctor_ids", Ids)
    return Table(f"{settings.schema}.event_outbox", vacuum, next(iter(holders), None), ids)


@TABLE.check
def autovacuum(table: Table) -> Verdict:
    """Look whether autovacuum may work."""
    if not table.vacuum.autovacuum:
        return fail(
            "autovacuum is off: every event leaves dead rows, and claims become slow",
            "ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf()",
        )
    if not table.vacuum.enabled:
        return fail(
            f"autovacuum leaves {table.name} alone: dead rows stay, and claims become slow",
            f"ALTER TABLE {table.name} RESET (autovacuum_enabled)",
        )
    return ok(f"starts at {table.vacuum.starts_at:,.0f} dead rows")


@TABLE.check
def dead_rows(table: Table) -> Verdict:
    """Compare the dead rows with what autovacuum should leave."""
    vacuum = table.vacuum
    text = f"{vacuum.dead:,} dead rows, {vacuum.live:,} live"
    if vacuum.dead > vacuum.starts_at * _BEHIND:
        ago = "never" if vacuum.vacuumed_ago is None else f"{vacuum.vacuumed_ago:.0f} s ago"
        return warn(
            f"{text}: autovacuum does not keep up; last vacuumed: {ago}",
            f"VACUUM (VERBOSE, ANALYZE) {table.name}; it says what it could not remove, and table.horizon why",
        )
    return ok(text)


@TABLE.check
def horizon(table: Table) -> Verdict:
    """Look for who holds back VACUUM for long."""
    holder = table.holder
    if holder is None:
        return ok("nobody holds it")
    age = f"{holder.transactions:,} transactions" + (
        f", {holder.seconds:.0f} s"
        if holder.seconds is not None
        else "; GRANT pg_read_all_stats shows since when"
    )
    text = f"held by {holder.kind} {holder.name} ({holder.state}) for {age}"
    if (holder.seconds or 0) > LONG or holder.transactions > _MANY_TRANSACTIONS:
        return warn(f"{text}: VACUUM removes nothing that is younger", holder.mend)
    return ok(text)


@TABLE.check
def ids(table: Table) -> Verdict:
    """Compare the ids that are there with the next one."""
    ids = table.ids
    if ids.below:
        return warn(
            f"events with ids below zero, which are never claimed: {ids.below:,}",
            f"UPDATE {table.name} SET id = DEFAULT WHERE id < 0 AND status = 'pending'",  # noqa: S608  # only shown
        )
    if ids.last is None:
        return ok("not compared: this role may not read the sequence of the ids")
    if (ids.highest or 0) > ids.last:
        return warn(
            f"{ids.sequence} is behind: next is {ids.last + 1}, and {ids.highest} is there;"
            " new events are refused as duplicates, or wait for a sweep",
            f"SELECT setval('{ids.sequence}', (SELECT max(id) FROM {table.name}))",  # noqa: S608  # only shown
        )
    return ok(f"given up to {ids.last}")
