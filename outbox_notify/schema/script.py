"""The migrations as text, for those who bring a migration tool of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from outbox_notify.postgres.queries import query
from outbox_notify.schema.migration import Migration, packaged, undo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import LiteralString

_TITLE = """\
-- The outbox of outbox-notify, for an empty database. Run it as one transaction and stop at the first error:
--   psql --single-transaction --set ON_ERROR_STOP=1 --file THIS_FILE
-- It sets search_path for the session and resets it at its end."""

# CREATE SCHEMA IF NOT EXISTS asks for the right to create even where nothing is to be created.
_SCHEMA: LiteralString = """\
DO $$
BEGIN
    IF to_regnamespace({quoted}) IS NULL THEN
        CREATE SCHEMA {schema};
    END IF;
END
$$;"""

_RECORD: LiteralString = """\
INSERT INTO {schema}.event_outbox_migration (version, name, checksum)
VALUES ({version}, {name}, {checksum});"""

_FORGET: LiteralString = "DELETE FROM {schema}.event_outbox_migration WHERE version = {version};"

# Another tool may have a search_path of its own, and go on in the same session.
_ENTER: LiteralString = """\
SELECT set_config('event_outbox.search_path', current_setting('search_path'), false);
SELECT set_config('search_path', {quoted}, false);"""

_LEAVE = "SELECT set_config('search_path', current_setting('event_outbox.search_path'), false);"

_ALONE = "-- This part cannot run in a transaction: cut the script here and run the part by itself."


def render_sql(schema: str, migrations: Sequence[Migration] | None = None) -> str:
    """Return what `migrate` does on an empty database, its history included; needs no database itself."""
    return "\n\n".join(_parts(schema, migrations or packaged())) + "\n"


def forward(schema: str, migration: Migration) -> str:
    """Return the script that applies one migration, records it, and leaves the session as it was."""
    first = [*_ground(schema)] if migration.version == 1 else []
    parts = [*first, _enter(schema), migration.text.strip(), _record(schema, migration), _LEAVE]
    return "\n\n".join(parts) + "\n"


def backward(schema: str, migration: Migration) -> str:
    """Return the script that takes one migration back; the first takes the history along, but not the schema."""
    forget = _filled_in(_FORGET, schema=sql.Identifier(schema), version=migration.version)
    parts = [_enter(schema), undo(migration).strip(), *[forget] * (migration.version > 1), _LEAVE]
    return "\n\n".join(parts) + "\n"


def _parts(schema: str, migrations: Sequence[Migration]) -> Iterator[str]:
    create_schema, create_history = _ground(schema)
    yield _TITLE
    yield create_schema
    yield _filled_in("SET search_path TO {schema};", schema=sql.Identifier(schema))
    yield create_history
    for migration in migrations:
        yield f"-- {migration.name}" + ("" if migration.in_transaction else f"\n{_ALONE}")
        yield migration.text.strip()
        yield _record(schema, migration)
    yield "RESET search_path;"


def _ground(schema: str) -> tuple[str, str]:
    name = sql.Identifier(schema)
    create_schema = _filled_in(_SCHEMA, schema=name, quoted=name.as_string(None))
    return create_schema, query("migrate_create_history", schema).as_string(None).strip() + ";"


def _enter(schema: str) -> str:
    return _filled_in(_ENTER, quoted=sql.Identifier(schema).as_string(None))


def _record(schema: str, migration: Migration) -> str:
    name = sql.Identifier(schema)
    row = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    return _filled_in(_RECORD, schema=name, **row)


def _filled_in(statement: LiteralString, /, **values: object) -> str:
    return sql.SQL(statement).format(**values).as_string(None)
