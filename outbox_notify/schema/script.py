"""The migrations as one script, for those who bring a migration tool of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from outbox_notify.postgres.queries import query
from outbox_notify.schema.migration import Migration, packaged

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

_ALONE = "-- This part cannot run in a transaction: cut the script here and run the part by itself."


def render_sql(schema: str, migrations: Sequence[Migration] | None = None) -> str:
    """Return what `migrate` does on an empty database, its history included; needs no database itself."""
    return "\n\n".join(_parts(schema, migrations or packaged())) + "\n"


def _parts(schema: str, migrations: Sequence[Migration]) -> Iterator[str]:
    name = sql.Identifier(schema)
    yield _TITLE
    yield _filled_in(_SCHEMA, schema=name, quoted=name.as_string(None))
    yield _filled_in("SET search_path TO {schema};", schema=name)
    yield query("migrate_create_history", schema).as_string(None) + ";"
    for migration in migrations:
        yield f"-- {migration.name}" + ("" if migration.in_transaction else f"\n{_ALONE}")
        yield migration.text.strip()
        yield _filled_in(
            _RECORD, schema=name, version=migration.version, name=migration.name, checksum=migration.checksum
        )
    yield "RESET search_path;"


def _filled_in(statement: LiteralString, /, **values: object) -> str:
    return sql.SQL(statement).format(**values).as_string(None)
