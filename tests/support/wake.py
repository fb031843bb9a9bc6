"""Looking at the wake of relays from PostgreSQL's side: who holds the lock, who waits for it, who listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import scalar_row

from tests.support.processes import wait_for

if TYPE_CHECKING:
    import psycopg

LISTEN, LOCK = "outbox-notify relay % listen", "outbox-notify relay % lock"

_LOCK_PIDS = """
    SELECT pid FROM pg_locks, event_outbox_wake() AS wake
    WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted = %s
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = wake.lock_k1::oid AND objid::bigint = wake.lock_k2::bigint & 4294967295 AND objsubid = 2
"""
_PIDS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s AND datname = current_database()"


@dataclass
class WakeView:
    """The wake of the relays of one database.

    Args:
        conn: in autocommit mode.
    """

    conn: psycopg.Connection

    def holders(self) -> set[int]:
        """Return the backends that hold the wake lock: one at most."""
        return self._pids(_LOCK_PIDS, True)

    def askers(self) -> set[int]:
        """Return the backends that wait for it."""
        return self._pids(_LOCK_PIDS, False)

    def backends(self, name: str) -> set[int]:
        """Return the backends of `LISTEN` or `LOCK` connections."""
        return self._pids(_PIDS, name)

    def wait_until_armed(self, *, besides: set[int] | None = None, timeout: float = 15) -> int:
        """Return the backend that holds the lock, once one does that is not among `besides`."""
        wait_for(lambda: bool(self.holders() - (besides or set())), timeout, "a relay to hold the wake lock")
        return self.holders().pop()

    def terminate(self, pid: int) -> None:
        """End a backend, as an administrator would."""
        self.conn.execute("SELECT pg_terminate_backend(%s)", [pid])

    def _pids(self, query: str, parameter: object) -> set[int]:
        with self.conn.cursor(row_factory=scalar_row) as cursor:
            return set(cursor.execute(query, [parameter]).fetchall())
