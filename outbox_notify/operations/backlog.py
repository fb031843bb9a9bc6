"""How many events are in each state, as far as they can be counted in a moment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import dict_row

from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

# Seconds of counting, all together: a look answers within one, however many events there are.
_COUNTING = 0.3


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
        at_least: names of those counts that are not complete, since there was no time to count more.
    """

    pending: int
    scheduled: int
    retrying: int
    in_progress: int
    failed: int
    oldest_pending_age_seconds: float
    at_least: Sequence[str] = ()


def count_backlog(conn: psycopg.Connection, schema: str) -> Counts:
    """Count the events of each state; each has its share of the time, and leaves what it does not need.

    Args:
        conn: in a transaction with one snapshot, and with the settings of `status_begin.sql`.
        schema: where the outbox is.
    """
    ends = time.monotonic() + _COUNTING
    found = {}
    for left, name in enumerate(("waiting", "due", "failed")):
        within = (ends - time.monotonic()) / (3 - left)
        with conn.cursor(row_factory=dict_row) as cursor:
            found[name] = cursor.execute(query(f"status_{name}", schema), {"within": within}).fetchall()[0]
    with conn.cursor(row_factory=dict_row) as cursor:
        [one] = cursor.execute(query("status", schema)).fetchall()
    waiting, due, failed = found["waiting"], found["due"], found["failed"]
    counted = {
        "pending": waiting["complete"] and due["complete"],
        "scheduled": waiting["complete"],
        "failed": failed["complete"],
    }
    return Counts(
        pending=waiting["due"] + due["events"],
        scheduled=waiting["scheduled"],
        failed=failed["events"],
        at_least=[name for name, complete in counted.items() if not complete],
        **one,
    )
