"""Applying migrations: one process at a time, one transaction a file, and a history that is never bent."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg

from outbox_notify.errors import NotPermitted, OutboxError, SchemaError
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.schema.history import Place, State, history, place, schema_version, status
from outbox_notify.schema.migration import Applied, Migration, packaged, pending
from outbox_notify.schema.script import render_sql
from outbox_notify.schema.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "LATEST",
    "LOCK_TIMEOUT",
    "Applied",
    "State",
    "migrate_up",
    "render_sql",
    "schema_version",
    "status",
]

LATEST: Final = packaged()[-1].version
LOCK_TIMEOUT: Final = 5.0

_OLDEST_SERVER = 14
_LOCK_TRIES = 5
_HALF_DONE = (
    "put that right, drop an index that was left INVALID, and run migrate again: the file can be repeated"
)


def migrate_up(
    conn: psycopg.Connection,
    schema: str,
    on_step: Callable[[str], None] | None = None,
    *,
    lock_timeout: float = LOCK_TIMEOUT,
    migrations: Sequence[Migration] | None = None,
) -> list[Applied]:
    """Apply what is pending and return it; do nothing when nothing is.

    Args:
        conn: in autocommit mode.
        schema: where the outbox goes; created when missing.
        on_step: told what happens, one line a time.
        lock_timeout: seconds that a statement waits for a lock before it steps back and tries again.
        migrations: other ones than those of the package.

    Raises:
        SchemaError: the history was edited or is newer, the server is too old, or a file failed.
        NotPermitted: the role may not create what is needed.
        OutboxError: a lock was not to be had.
    """
    refuse_old_server(conn)
    waiting = pending(migrations or packaged(), history(conn, schema))
    if not waiting:
        return []
    step = _Step(conn, schema, on_step or (lambda _: None), lock_timeout)
    with translated():
        step.prepare()
        done = [migration.version for migration in waiting if step.apply(migration)]
    rows = history(conn, schema)
    return [rows[version] for version in done]


def refuse_old_server(conn: psycopg.Connection) -> None:
    """Raise SchemaError where PostgreSQL is older than the migrations can do with."""
    version = conn.info.server_version
    if version < _OLDEST_SERVER * 10_000:
        raise SchemaError(
            f"PostgreSQL {_OLDEST_SERVER} or newer is needed; this server is {version // 10_000}"
        )


@dataclass(frozen=True)
class _Step:
    """One call of `migrate_up`: what every step of it needs to know."""

    conn: psycopg.Connection
    schema: str
    say: Callable[[str], None]
    lock_timeout: float

    @property
    def _turns(self) -> Turns:
        return Turns(self.conn, self.schema, self.say, self.lock_timeout)

    def prepare(self) -> None:
        """Create the schema and the history table where they are missing."""
        with self._turns.transaction():
            here = place(self.conn, self.schema)
            _refuse_without_rights(here, self.schema)
            if not here.has_schema:
                self.say(f"creating schema {self.schema}")
                self.conn.execute(query("migrate_create_schema", self.schema))
            if not here.has_history:
                self.conn.execute(query("migrate_create_history", self.schema))

    def apply(self, migration: Migration) -> bool:
        """Apply one file; return False where another process has done it meanwhile."""
        run = self._as_one if migration.in_transaction else self._one_by_one
        for attempt in range(1, _LOCK_TRIES + 1):
            try:
                return run(migration)
            except psycopg.errors.LockNotAvailable:
                self.say(
                    f"{migration.name} got no lock in {self.lock_timeout:g} s ({attempt} of {_LOCK_TRIES})"
                )
            # A waiting ALTER TABLE holds up every writer behind it: let them pass for as long as that.
            if attempt < _LOCK_TRIES:
                time.sleep(self.lock_timeout)
        raise OutboxError(
            f"{migration.name} was not applied: somebody keeps a lock that it needs;"
            " pg_stat_activity shows who; run it again when they are done, or with a longer --lock-timeout"
        )

    def _as_one(self, migration: Migration) -> bool:
        with self._turns.transaction():
            if migration.version in history(self.conn, self.schema):
                return False
            self.say(f"applying {migration.name}")
            started = time.monotonic()
            with _failing(f"{migration.name} failed and nothing of it was kept"):
                self.conn.execute(migration.text.encode())
            self._record(migration, time.monotonic() - started)
            return True

    def _one_by_one(self, migration: Migration) -> bool:
        with self._turns.session():
            if migration.version in history(self.conn, self.schema):
                return False
            started = time.monotonic()
            statements = list(migration.statements())
            for number, statement in enumerate(statements, start=1):
                where = f"{migration.name}, statement {number} of {len(statements)}"
                self.say(f"applying {where}")
                with _failing(f"{where}, failed; what came before it has stayed", advice=_HALF_DONE):
                    self.conn.execute(statement.encode())
            self._record(migration, time.monotonic() - started)
            return True

    def _record(self, migration: Migration, duration: float) -> None:
        values = {
            "version": migration.version,
            "name": migration.name,
            "checksum": migration.checksum,
            "duration": duration,
        }
        self.conn.execute(query("migrate_record", self.schema), values)


@contextmanager
def _failing(what: str, advice: str = "") -> Iterator[None]:
    """Name the file in the error of a statement of ours; what is not its fault passes through."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege):
        raise
    except psycopg.Error as error:
        text = f"{what}: {error.diag.message_primary}"
        raise SchemaError(f"{text}: {advice}" if advice else text) from error


def _refuse_without_rights(here: Place, schema: str) -> None:
    if here.has_schema and not here.may_create_in_schema:
        raise NotPermitted(
            f"role {here.role} may not create anything in schema {schema}:"
            f" GRANT CREATE, USAGE ON SCHEMA {schema} TO {here.role}"
        )
    if not here.has_schema and not here.may_create_schema:
        raise NotPermitted(
            f"schema {schema} is missing and role {here.role} may not create it:"
            f" have the owner of {here.database} run CREATE SCHEMA {schema} AUTHORIZATION {here.role}"
        )
