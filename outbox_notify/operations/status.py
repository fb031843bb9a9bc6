"""How the outbox stands: what waits, for how long, and who works on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import class_row

from outbox_notify.errors import OutboxError
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.schema.history import schema_version
from outbox_notify.schema.migration import packaged

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = TypeVar("Row")


@dataclass(frozen=True)
class Counts:
    """Events that are not done, counted in one snapshot.

    Args:
        pending: due; a relay takes them next.
        scheduled: not before a time that is still to come, set by the writer or by a retry.
        retrying: those of the scheduled that were tried and failed.
        in_progress: in the hands of a relay.
        failed: given up on; requeue or discard them.
        oldest_pending_age_seconds: since the oldest of the pending could have gone; 0 when there is none.
    """

    pending: int
    scheduled: int
    retrying: int
    in_progress: int
    failed: int
    oldest_pending_age_seconds: float


@dataclass(frozen=True)
class RelayShare:
    """What one relay has in its hands.

    Args:
        relay: its id, `OUTBOX_RELAY_ID`.
        lease_left_seconds: until the first of its leases expires; below zero when it has.
    """

    relay: str
    in_progress: int
    lease_left_seconds: float


@dataclass(frozen=True)
class Returned:
    """Events that came back for the same reason; what waits behind them is not counted.

    Args:
        route: their subject, without its prefix.
        reason: in the words of who refused them.
        oldest_age_seconds: since the oldest of them was written.
    """

    route: str
    reason: str
    events: int
    oldest_age_seconds: float


@dataclass(frozen=True)
class Table:
    """The size of the outbox.

    Args:
        bytes: on disk, with indexes.
        rows_estimate: by the planner, published ones included; None before the first VACUUM or ANALYZE.
    """

    bytes: int
    rows_estimate: int | None


@dataclass(frozen=True)
class Status:
    """One look at the outbox.

    Args:
        schema_version: newest applied migration; None when the history is empty.
        latest_version: newest migration that this package knows.
        returned: why events came back that wait now, the most frequent reasons first.
    """

    schema: str
    schema_version: int | None
    latest_version: int
    server_version: str
    counts: Counts
    relays: Sequence[RelayShare]
    returned: Sequence[Returned]
    table: Table


def read_status(conn: psycopg.Connection, schema: str, *, timeout: float = 10) -> Status:
    """Look at the outbox; takes well under a second with millions of events in it.

    Args:
        conn: in autocommit mode.
        schema: where the outbox is.
        timeout: seconds that counting may take.

    Raises:
        SchemaError: there is no outbox.
        NotPermitted: the role may not read it.
        OutboxError: counting took longer.
    """
    with translated(), conn.transaction():
        conn.execute(query("status_begin", schema), {"timeout": f"{timeout * 1000:.0f}ms"})
        try:
            [counts] = _rows(conn, Counts, "status", schema)
            relays = _rows(conn, RelayShare, "status_relays", schema)
            returned = _rows(conn, Returned, "status_returned", schema)
        except psycopg.errors.QueryCanceled as error:
            raise OutboxError(_TOO_SLOW.format(timeout=timeout, schema=schema)) from error
        [table] = _rows(conn, Table, "status_table", schema)
    return Status(
        schema=schema,
        schema_version=schema_version(conn, schema),
        latest_version=packaged()[-1].version,
        server_version=conn.info.parameter_status("server_version") or "",
        counts=counts,
        relays=relays,
        returned=returned,
        table=table,
    )


def document(status: Status) -> dict[str, Any]:
    """Return a look as JSON's values: a documented contract of `status --json` and of HTTP's `/status`."""
    counts = asdict(status.counts)
    return {
        "schema": status.schema,
        "schema_version": status.schema_version,
        "latest_version": status.latest_version,
        "server_version": status.server_version,
        "backlog": {name: counts[name] for name in ("pending", "scheduled", "in_progress", "failed")},
        "retrying": status.counts.retrying,
        "oldest_pending_age_seconds": round(status.counts.oldest_pending_age_seconds, 3),
        "relays": [asdict(share) for share in status.relays],
        "returned": [asdict(returned) for returned in status.returned],
        "table": asdict(status.table),
    }


_TOO_SLOW = (
    "counting the events took longer than {timeout:g} s; if that lasts, see whether autovacuum keeps up with"
    " {schema}.event_outbox, and who holds a transaction open (pg_stat_activity)"
)


def _rows(conn: psycopg.Connection, kind: type[Row], name: str, schema: str) -> list[Row]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query(name, schema)).fetchall()
