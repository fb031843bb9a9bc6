"""How the outbox stands: what waits, for how long, and who works on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import class_row, dict_row

from outbox_notify.errors import NotPermitted, OutboxError, SchemaError
from outbox_notify.operations.backlog import count_backlog
from outbox_notify.operations.pause import pauses
from outbox_notify.operations.relays import read_relays
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.relay.retry import lets_route_rest
from outbox_notify.schema.history import schema_version
from outbox_notify.schema.migration import packaged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outbox_notify.operations.backlog import Counts
    from outbox_notify.operations.pause import Pause
    from outbox_notify.operations.relays import Relay

Row = TypeVar("Row")


@dataclass(frozen=True)
class LastMinute:
    """What was published in the last minute.

    Args:
        published: events, as far as they were found.
        window_seconds: how far back they were sought: a minute, or less when there were very many.
        p50_seconds: from when an event could have gone to its mark, for the half of them; None when there were none.
        p99_seconds: the same for all but the slowest hundredth.
    """

    published: int
    window_seconds: float
    p50_seconds: float | None
    p99_seconds: float | None

    @property
    def per_second(self) -> float:
        """The rate."""
        return self.published / max(self.window_seconds, 0.001)


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

    @property
    def rests(self) -> bool:
        """Whether it is the route that rests, and is tried again within seconds."""
        return lets_route_rest(self.reason)


@dataclass(frozen=True)
class Table:
    """The size of the outbox.

    Args:
        bytes: on disk, with indexes.
        rows_estimate: by the planner, published ones included; None before the first VACUUM or ANALYZE.
        dead_rows: that VACUUM has not removed yet, estimated.
        vacuumed_seconds_ago: None when it never was.
    """

    bytes: int
    rows_estimate: int | None
    dead_rows: int
    vacuumed_seconds_ago: float | None


@dataclass(frozen=True)
class Status:
    """One look at the outbox.

    Args:
        schema_version: newest applied migration; None when the history is empty.
        latest_version: newest migration that this package knows.
        last_minute: None when it is unknown, since no published event is kept.
        returned: why events came back that wait now, the most frequent reasons first.
        paused: what relays are to leave alone, the oldest pause first.
    """

    schema: str
    schema_version: int | None
    latest_version: int
    server_version: str
    counts: Counts
    relays: Sequence[Relay]
    last_minute: LastMinute | None
    returned: Sequence[Returned]
    paused: Sequence[Pause]
    table: Table


def read_status(conn: psycopg.Connection, schema: str, *, timeout: float = 10) -> Status:
    """Look at the outbox; takes well under a second with millions of events in it.

    Args:
        conn: in autocommit mode.
        schema: where the outbox is.
        timeout: seconds that any part of the look may take.

    Raises:
        SchemaError: there is no outbox.
        NotPermitted: the role may not read it.
        OutboxError: a part of it took longer.
    """
    with translated(), conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        conn.execute(query("status_begin", schema), {"timeout": f"{timeout * 1000:.0f}ms"})
        try:
            counts = count_backlog(conn, schema)
            relays = read_relays(conn, schema)
            last_minute = _last_minute(conn, schema)
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
        last_minute=last_minute,
        returned=returned,
        paused=_pauses(conn, schema),
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
        "at_least": list(status.counts.at_least),
        "retrying": status.counts.retrying,
        "oldest_pending_age_seconds": round(status.counts.oldest_pending_age_seconds, 3),
        "last_minute": status.last_minute
        and {
            "published": status.last_minute.published,
            "per_second": round(status.last_minute.per_second, 3),
            "window_seconds": status.last_minute.window_seconds,
            "p50_seconds": status.last_minute.p50_seconds,
            "p99_seconds": status.last_minute.p99_seconds,
        },
        "relays": [asdict(relay) for relay in status.relays],
        "returned": [{**asdict(returned), "rests": returned.rests} for returned in status.returned],
        "paused": [_pause(pause) for pause in status.paused],
        "table": asdict(status.table),
    }


_TOO_SLOW = (
    "counting the events took longer than {timeout:g} s; if that lasts, see whether autovacuum keeps up with"
    " {schema}.event_outbox, and who holds a transaction open (pg_stat_activity)"
)


def _rows(conn: psycopg.Connection, kind: type[Row], name: str, schema: str) -> list[Row]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query(name, schema)).fetchall()


def _last_minute(conn: psycopg.Connection, schema: str) -> LastMinute | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        [row] = cursor.execute(query("status_last_minute", schema)).fetchall()
    kept = row.pop("kept")
    return LastMinute(**row) if kept else None


def _pauses(conn: psycopg.Connection, schema: str) -> Sequence[Pause]:
    try:
        return pauses(conn, schema)
    except (SchemaError, NotPermitted):
        return ()  # the schema is older than pauses, or its roles are


def _pause(pause: Pause) -> dict[str, Any]:
    times = {"since": pause.since.isoformat(), "until": pause.until and pause.until.isoformat()}
    return {**asdict(pause), **times}
