"""Scripts for other migration tools: forward is what `migrate up` does, backward takes it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify.schema.catalog import facts
from outbox_notify.schema.drift import verify
from outbox_notify.schema.export.exporting import export
from outbox_notify.schema.export.flyway import Flyway
from outbox_notify.schema.migrate import migrate_up, status
from outbox_notify.schema.migration import packaged
from outbox_notify.schema.script import backward, forward
from tests.support.postgres import ON_BOTH, Link

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = ON_BOTH

SEARCH_PATH = "pg_catalog, pg_temp"


@pytest.fixture
def conn(empty_database: str) -> Iterator[Link]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(f"SET search_path = {SEARCH_PATH}".encode())
        yield connection


def run(conn: Link, script: str) -> None:
    """Run a script as another tool does: as one transaction, which must leave the session as it was."""
    with conn.transaction():
        conn.execute(script.encode())
    assert conn.execute("SHOW search_path").fetchone() == (SEARCH_PATH,)


def catalog(conn: Link) -> object:
    """Return all that the migrations may have made, but for the order of columns."""
    with conn.transaction():
        conn.execute("SET LOCAL search_path = warehouse")
        options = conn.execute("SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL")
        return facts(conn, "warehouse"), sorted(options.fetchall())


@pytest.mark.parametrize("schema", ["public", "warehouse"])
def test_flyway_files_in_their_order_make_what_migrate_up_makes(
    conn: Link, tmp_path: Path, schema: str
) -> None:
    for path in export(Flyway(), tmp_path, schema):
        run(conn, path.read_text())
    assert all(state.applied for state in status(conn, schema))
    assert verify(conn, schema).good
    assert verify(conn, schema).extras == []
    assert migrate_up(conn, schema) == []


def test_each_migration_can_be_taken_back_and_applied_again(conn: Link) -> None:
    conn.execute("CREATE SCHEMA warehouse")
    for migration in packaged():
        before = catalog(conn)
        run(conn, forward("warehouse", migration))
        run(conn, backward("warehouse", migration))
        assert catalog(conn) == before, migration.name
        run(conn, forward("warehouse", migration))
    assert verify(conn, "warehouse").good


def test_what_was_taken_back_is_pending(conn: Link) -> None:
    migrate_up(conn, "warehouse")
    run(conn, backward("warehouse", packaged()[-1]))
    assert [state.migration for state in status(conn, "warehouse") if state.applied is None] == [
        packaged()[-1]
    ]
    assert [row.version for row in migrate_up(conn, "warehouse")] == [packaged()[-1].version]


def test_no_event_goes_that_was_not_published(conn: Link) -> None:
    run(conn, forward("warehouse", packaged()[0]))
    conn.execute("INSERT INTO warehouse.event_outbox (tenant_id, event_type, payload) VALUES ('t', 'a', '1')")
    with pytest.raises(psycopg.errors.RaiseException, match="events that were not published"):
        run(conn, backward("warehouse", packaged()[0]))
    conn.execute("UPDATE warehouse.event_outbox SET status = 'published'")
    run(conn, backward("warehouse", packaged()[0]))
