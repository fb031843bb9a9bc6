"""Taking turns: of several migrate processes one works, the others wait and then find nothing left to do."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox_notify.errors import OutboxError
from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

_ASK_AGAIN_AFTER = 0.1


@dataclass(frozen=True)
class Turns:
    """The queue in front of one schema.

    Args:
        conn: in autocommit mode.
        say: told, once, that somebody else has the turn.
        lock_timeout: seconds that a statement inside a turn may wait for a lock.
    """

    conn: psycopg.Connection
    schema: str
    say: Callable[[str], None]
    lock_timeout: float

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in a transaction of its own when it is our turn."""
        for _ in self._patiently():
            with self.conn.transaction():
                self.conn.execute(query("migrate_begin", self.schema))
                self._apply_settings(lock_timeout=self.lock_timeout, local=True)
                if self._is_ours("migrate_turn"):
                    yield
                    return

    @contextmanager
    def session(self) -> Iterator[None]:
        """Run the block outside a transaction when it is our turn.

        Without a lock timeout: CREATE INDEX CONCURRENTLY waits long and often, and no writer waits behind it.
        """
        for _ in self._patiently():
            if self._is_ours("migrate_session_turn"):
                break
        try:
            self._apply_settings(lock_timeout=0, local=False)
            yield
        finally:
            self._end_session()

    def _patiently(self) -> Iterator[None]:
        yield
        self.say("another migrate is at work here; waiting for its end")
        while True:
            time.sleep(_ASK_AGAIN_AFTER)
            yield

    def _is_ours(self, name: str) -> bool:
        row = self.conn.execute(query(name, self.schema), {"schema": self.schema}).fetchone()
        return bool(row and row[0])

    def _apply_settings(self, *, lock_timeout: float, local: bool) -> None:
        values = {"schema": self.schema, "lock_timeout": f"{lock_timeout * 1000:.0f}ms", "local": local}
        self.conn.execute(query("migrate_settings", self.schema), values)

    def _end_session(self) -> None:
        if self.conn.broken:
            return
        self.conn.execute(query("migrate_reset", self.schema))
        if not self._is_ours("migrate_end_session_turn"):
            raise OutboxError(
                "this connection goes through a transaction pooler, which a migration without a transaction"
                " cannot: give migrate a direct connection with --database-url"
            )
