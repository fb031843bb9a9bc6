from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify.embedded.binaries import postgres_installation
from outbox_notify.errors import NotPermitted
from outbox_notify.schema.drift import verify
from outbox_notify.schema.migrate import LATEST, migrate_up, render_sql
from outbox_notify.schema.migration import Migration, packaged
from tests.support.postgres import ON_BOTH, fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.embedded import EmbeddedPostgres

pytestmark = ON_BOTH

# What somebody did to the live schema, and what verify says of it.
DRIFT = {
    "missing trigger": (
        "DROP TRIGGER event_outbox_wake_relay ON event_outbox",
        "trigger event_outbox_wake_relay of event_outbox is missing",
    ),
    "disabled trigger": (
        "ALTER TABLE event_outbox DISABLE TRIGGER event_outbox_wake_relay",
        "trigger event_outbox_wake_relay of event_outbox is disabled",
    ),
    "trigger on the wrong lock": (
        (
            "DROP TRIGGER event_outbox_wake_relay ON event_outbox;"
            "CREATE TRIGGER event_outbox_wake_relay AFTER INSERT ON event_outbox FOR EACH STATEMENT"
            " WHEN (NOT pg_try_advisory_xact_lock_shared(1, 2)) EXECUTE FUNCTION event_outbox_notify()"
        ),
        "trigger event_outbox_wake_relay of event_outbox is changed: should be CREATE TRIGGER",
    ),
    "missing index": (
        "DROP INDEX event_outbox_due",
        "index event_outbox_due of event_outbox is missing",
    ),
    "index without its predicate": (
        "DROP INDEX event_outbox_due; CREATE INDEX event_outbox_due ON event_outbox (id)",
        "index event_outbox_due of event_outbox is changed: should be CREATE INDEX",
    ),
    "invalid index": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'event_outbox_due'::regclass",
        "index event_outbox_due of event_outbox is invalid",
    ),
    "missing constraint": (
        "ALTER TABLE event_outbox DROP CONSTRAINT event_outbox_lease",
        "constraint event_outbox_lease of event_outbox is missing",
    ),
    "changed constraint": (
        (
            "ALTER TABLE event_outbox DROP CONSTRAINT event_outbox_one_body;"
            "ALTER TABLE event_outbox ADD CONSTRAINT event_outbox_one_body CHECK (payload IS NOT NULL)"
        ),
        "constraint event_outbox_one_body of event_outbox is changed: should be CHECK",
    ),
    "constraint not validated": (
        (
            "ALTER TABLE event_outbox DROP CONSTRAINT event_outbox_one_body;"
            "ALTER TABLE event_outbox ADD CONSTRAINT event_outbox_one_body"
            " CHECK ((payload IS NULL) <> (payload_bytes IS NULL)) NOT VALID"
        ),
        "constraint event_outbox_one_body of event_outbox is not validated",
    ),
    "missing unique": (
        "ALTER TABLE event_outbox DROP CONSTRAINT event_outbox_event_id_key",
        "constraint event_outbox_event_id_key of event_outbox is missing",
    ),
    "loosened domain": (
        "ALTER DOMAIN event_outbox_token DROP CONSTRAINT event_outbox_token_rule",
        "constraint event_outbox_token_rule of event_outbox_token is missing",
    ),
    "column of another type": (
        "ALTER TABLE event_outbox ALTER COLUMN last_error TYPE varchar(10)",
        "column last_error of event_outbox is changed: should be text, is character varying(10)",
    ),
    "nullable column": (
        "ALTER TABLE event_outbox ALTER COLUMN created_at DROP NOT NULL",
        "column created_at of event_outbox is changed: should be timestamp with time zone NOT NULL",
    ),
    "missing default": (
        "ALTER TABLE event_outbox ALTER COLUMN event_id DROP DEFAULT",
        "column event_id of event_outbox is changed: should be uuid NOT NULL DEFAULT <new id>, is uuid",
    ),
    "changed function": (
        (
            "CREATE OR REPLACE FUNCTION event_outbox_notify() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'"
        ),
        "function event_outbox_notify() is changed: should be RETURNS trigger",
    ),
    "missing function of writers": (
        "DROP FUNCTION outbox_emit",
        "function outbox_emit(tenant_id text, event_type text, payload jsonb,",
    ),
    "function of writers for another table": (
        (
            "DO $$ BEGIN EXECUTE replace(pg_get_functiondef('outbox_emit'::regproc),"
            " 'public.event_outbox (', 'public.event_outbox_audit ('); END $$"
        ),
        "function outbox_emit(tenant_id text, event_type text, payload jsonb,",
    ),
    "unlogged table": (
        "ALTER TABLE event_outbox SET UNLOGGED",
        "table event_outbox is unlogged",
    ),
    "missing table": (
        "DROP TABLE event_outbox",
        "table event_outbox is missing",
    ),
}


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        migrate_up(connection, "public")
        yield connection


def test_migrated_schema_is_found_good(conn: psycopg.Connection) -> None:
    migrate_up(conn, "warehouse")
    for schema in ("public", "warehouse"):
        verdict = verify(conn, schema)
        assert verdict.good
        assert verdict.extras == []


def test_verifying_leaves_nothing_behind(conn: psycopg.Connection) -> None:
    before = conn.execute("SELECT count(*) FROM pg_class").fetchone()
    verify(conn, "public")
    assert conn.execute("SELECT count(*) FROM pg_class").fetchone() == before
    assert conn.execute("SHOW search_path").fetchone() == ('"$user", public',)


@pytest.mark.parametrize("name", DRIFT)
def test_drift_is_found_and_said_in_words(conn: psycopg.Connection, name: str) -> None:
    act, complaint = DRIFT[name]
    conn.execute(act.encode())
    verdict = verify(conn, "public")
    assert not verdict.good
    assert len(verdict.differences) == 1
    assert str(verdict.differences[0]).startswith(complaint)


def test_index_of_somebody_else_is_noted_but_no_fault(conn: psycopg.Connection) -> None:
    conn.execute("CREATE INDEX by_tenant ON event_outbox (tenant_id)")
    verdict = verify(conn, "public")
    assert verdict.good
    assert [str(extra) for extra in verdict.extras] == [
        "index by_tenant of event_outbox is not from a migration"
    ]


def test_tuned_table_is_no_drift(conn: psycopg.Connection) -> None:
    conn.execute("ALTER TABLE event_outbox SET (autovacuum_vacuum_scale_factor = 0.5, fillfactor = 80)")
    assert verify(conn, "public").good


def test_pending_migration_is_not_good_but_the_rest_is_compared(conn: psycopg.Connection) -> None:
    later = Migration(LATEST + 1, "9999_later.sql", "ALTER TABLE event_outbox ADD COLUMN note text;")
    verdict = verify(conn, "public", [*packaged(), later])
    assert not verdict.good
    assert verdict.pending == [later]
    assert verdict.differences == []


def test_index_built_concurrently_is_compared_too(conn: psycopg.Connection) -> None:
    text = (
        "-- outbox-notify: no-transaction\nCREATE INDEX CONCURRENTLY by_tenant ON event_outbox (tenant_id);"
    )
    known = [*packaged(), Migration(LATEST + 1, "9999_index.sql", text)]
    migrate_up(conn, "public", migrations=known)
    assert verify(conn, "public", known).good
    conn.execute("DROP INDEX by_tenant")
    assert [str(found) for found in verify(conn, "public", known).differences] == [
        "index by_tenant of event_outbox is missing"
    ]


def test_database_without_outbox_has_everything_pending(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        verdict = verify(conn, "public")
    assert verdict.pending == list(packaged())
    assert verdict.differences == []


def test_role_that_cannot_build_the_expectation_is_told_so(conn: psycopg.Connection) -> None:
    conn.execute("GRANT SELECT ON event_outbox_migration TO pg_monitor")
    conn.execute("SET ROLE pg_monitor")
    with pytest.raises(NotPermitted, match="run it as the role that migrates"):
        verify(conn, "public")


def test_schema_made_by_the_script_is_found_good(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(render_sql("warehouse").encode())
        assert verify(conn, "warehouse").good


def test_restored_dump_is_found_good(
    database: str, postgres_server: EmbeddedPostgres, postgres_version: int
) -> None:
    programs = postgres_installation(postgres_version) / "bin"
    with psycopg.connect(database, autocommit=True) as conn:
        migrate_up(conn, "warehouse")
    dump = subprocess.run([programs / "pg_dump", database], capture_output=True, check=True).stdout
    with fresh_database(postgres_server, "template1") as restored:
        load = [str(programs / "psql"), "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", restored]
        subprocess.run(load, input=dump, capture_output=True, check=True)
        with psycopg.connect(restored, autocommit=True) as conn:
            assert verify(conn, "warehouse").good
