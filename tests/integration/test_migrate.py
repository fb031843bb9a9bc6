from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Semaphore
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from outbox_notify.embedded.binaries import postgres_installation
from outbox_notify.errors import NotPermitted, OutboxError, SchemaError
from outbox_notify.postgres.queries import query
from outbox_notify.schema.migrate import LATEST, migrate_up, render_sql, schema_version, status
from outbox_notify.schema.migration import Migration, packaged
from tests.support.postgres import ON_BOTH

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = ON_BOTH

ADD_COLUMN = Migration(LATEST + 1, "9998_column.sql", "ALTER TABLE event_outbox ADD COLUMN note text;")
ADD_INDEX = Migration(
    LATEST + 1,
    "9999_index.sql",
    "-- outbox-notify: no-transaction\n"
    "CREATE INDEX CONCURRENTLY event_outbox_by_tenant ON event_outbox (tenant_id);\n"
    "COMMENT ON INDEX event_outbox_by_tenant IS 'one; two';\n",
)


@pytest.fixture
def conn(empty_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        yield connection


def insert(conn: psycopg.Connection, schema: str = "public") -> None:
    table = sql.Identifier(schema, "event_outbox")
    statement = sql.SQL("INSERT INTO {} (tenant_id, event_type, payload) VALUES ('t', 'a.b', '{{}}')")
    conn.execute(statement.format(table))


def test_fresh_database_gets_an_outbox_that_takes_events(conn: psycopg.Connection) -> None:
    assert schema_version(conn, "public") is None
    applied = migrate_up(conn, "public")
    assert [row.version for row in applied] == [migration.version for migration in packaged()]
    assert applied[0].applied_by == conn.info.user
    assert schema_version(conn, "public") == LATEST
    insert(conn)


def test_second_run_changes_nothing(conn: psycopg.Connection) -> None:
    migrate_up(conn, "public")
    before = status(conn, "public")
    steps: list[str] = []
    assert migrate_up(conn, "public", steps.append) == []
    assert steps == []
    assert status(conn, "public") == before


def test_missing_schema_is_created_and_holds_everything(conn: psycopg.Connection) -> None:
    migrate_up(conn, "warehouse")
    insert(conn, "warehouse")
    elsewhere = conn.execute(
        "SELECT count(*) FROM pg_class"
        " WHERE relname LIKE 'event_outbox%' AND relnamespace <> 'warehouse'::regnamespace"
    ).fetchone()
    assert elsewhere == (0,)
    assert schema_version(conn, "public") is None


def test_outboxes_of_two_schemas_have_channels_and_locks_of_their_own(conn: psycopg.Connection) -> None:
    migrate_up(conn, "public")
    migrate_up(conn, "warehouse")
    ours = conn.execute("SELECT * FROM public.event_outbox_wake()").fetchone()
    theirs = conn.execute("SELECT * FROM warehouse.event_outbox_wake()").fetchone()
    assert ours is not None
    assert theirs is not None
    assert (ours[0], theirs[0]) == ("event_outbox_public", "event_outbox_warehouse")
    assert ours[2] != theirs[2]


def test_role_defaults_do_not_reach_migrations(conn: psycopg.Connection) -> None:
    conn.execute("SET default_transaction_isolation = 'serializable'")
    conn.execute("SET default_transaction_read_only = on")
    conn.execute("SET statement_timeout = '500ms'")
    conn.execute("SET search_path = nowhere")
    slow = Migration(LATEST + 1, "9998_slow.sql", "SELECT pg_sleep(0.6);")
    migrate_up(conn, "public", migrations=[*packaged(), slow])
    assert conn.execute("SHOW search_path").fetchone() == ("nowhere",)


def test_of_two_processes_one_applies_and_the_other_finds_it_done(
    conn: psycopg.Connection, empty_database: str
) -> None:
    waits = Semaphore(0)

    def migrate() -> list[int]:
        def step(line: str) -> None:
            if "another migrate" in line:
                waits.release()

        with psycopg.connect(empty_database, autocommit=True) as mine:
            return [row.version for row in migrate_up(mine, "public", step)]

    with ThreadPoolExecutor(2) as pool:
        with conn.transaction():
            conn.execute(query("migrate_turn", "public"), {"schema": "public"})
            calls = [pool.submit(migrate) for _ in range(2)]
            assert all(waits.acquire(timeout=30) for _ in calls)
        outcomes = sorted(call.result(timeout=30) for call in calls)
    versions = [migration.version for migration in packaged()]
    assert sorted(version for outcome in outcomes for version in outcome) == versions


def test_edited_file_is_refused(conn: psycopg.Connection) -> None:
    migrate_up(conn, "public")
    edited = [replace(packaged()[0], text=packaged()[0].text + "\n"), *packaged()[1:]]
    for refuse in (migrate_up, status):
        with pytest.raises(SchemaError, match=r"0001_event_outbox\.sql was edited"):
            refuse(conn, "public", migrations=edited)


def test_newer_database_is_refused(conn: psycopg.Connection) -> None:
    migrate_up(conn, "public", migrations=[*packaged(), ADD_COLUMN])
    for refuse in (migrate_up, status):
        with pytest.raises(SchemaError, match="upgrade the package"):
            refuse(conn, "public")


def test_failing_file_leaves_nothing_behind(conn: psycopg.Connection) -> None:
    bad = replace(ADD_COLUMN, text=ADD_COLUMN.text + "SELECT 1 / 0;")
    with pytest.raises(
        SchemaError, match=r"9998_column\.sql failed and nothing of it was kept: division by zero"
    ):
        migrate_up(conn, "public", migrations=[*packaged(), bad])
    assert schema_version(conn, "public") == LATEST
    assert [row.version for row in migrate_up(conn, "public", migrations=[*packaged(), ADD_COLUMN])] == [
        LATEST + 1
    ]


def test_table_made_by_hand_is_refused_in_one_line(conn: psycopg.Connection) -> None:
    conn.execute("CREATE TABLE event_outbox ()")
    with pytest.raises(SchemaError, match=r"0001_event_outbox\.sql failed .*already exists"):
        migrate_up(conn, "public")


def test_lock_that_is_not_given_ends_in_a_clear_error(conn: psycopg.Connection, empty_database: str) -> None:
    migrate_up(conn, "public")
    steps: list[str] = []
    with psycopg.connect(empty_database) as reader:
        reader.execute("SELECT FROM event_outbox")
        with pytest.raises(OutboxError, match=r"somebody keeps a lock .*--lock-timeout") as refusal:
            migrate_up(conn, "public", steps.append, lock_timeout=0.02, migrations=[*packaged(), ADD_COLUMN])
    assert refusal.value.exit_code == 1
    assert sum("got no lock" in line for line in steps) == 5
    assert schema_version(conn, "public") == LATEST


def test_lock_that_comes_free_is_taken_at_the_next_try(conn: psycopg.Connection, empty_database: str) -> None:
    migrate_up(conn, "public")
    with psycopg.connect(empty_database) as reader:
        reader.execute("SELECT FROM event_outbox")

        def step(line: str) -> None:
            if "got no lock" in line:
                reader.rollback()

        applied = migrate_up(conn, "public", step, lock_timeout=0.02, migrations=[*packaged(), ADD_COLUMN])
    assert [row.name for row in applied] == [ADD_COLUMN.name]


def test_role_that_may_not_create_in_the_schema_is_told_what_to_grant(conn: psycopg.Connection) -> None:
    conn.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with (
        role(conn, "visitor"),
        pytest.raises(NotPermitted, match="GRANT CREATE, USAGE ON SCHEMA public TO visitor"),
    ):
        migrate_up(conn, "public")


def test_role_that_may_not_create_a_schema_is_told_what_to_ask_for(conn: psycopg.Connection) -> None:
    with (
        role(conn, "visitor"),
        pytest.raises(NotPermitted, match="CREATE SCHEMA warehouse AUTHORIZATION visitor"),
    ):
        migrate_up(conn, "warehouse")


def test_role_that_owns_only_its_schema_can_migrate_it(conn: psycopg.Connection) -> None:
    with role(conn, "tenant"):
        conn.execute("RESET ROLE")
        conn.execute("CREATE SCHEMA warehouse AUTHORIZATION tenant")
        conn.execute("SET ROLE tenant")
        migrate_up(conn, "warehouse")
        assert schema_version(conn, "warehouse") == LATEST


def test_file_without_transaction_runs_statement_by_statement(conn: psycopg.Connection) -> None:
    steps: list[str] = []
    migrate_up(conn, "public", steps.append, migrations=[*packaged(), ADD_INDEX])
    assert steps[-1] == "applying 9999_index.sql, statement 2 of 2"
    assert conn.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'event_outbox_by_tenant'::regclass"
    ).fetchone() == (True,)
    assert turn_is_free(conn)


def test_half_done_file_says_where_it_stopped_and_leaves_the_session_clean(conn: psycopg.Connection) -> None:
    bad = replace(ADD_INDEX, text=ADD_INDEX.text.replace("'one; two'", "nonsense"))
    with pytest.raises(
        SchemaError, match=r"statement 2 of 2, failed; what came before it has stayed: .*run migrate again"
    ):
        migrate_up(conn, "warehouse", migrations=[*packaged(), bad])
    assert schema_version(conn, "warehouse") == LATEST
    assert conn.execute("SHOW search_path").fetchone() == ('"$user", public',)
    assert turn_is_free(conn)


def test_script_through_psql_equals_up(
    conn: psycopg.Connection, empty_database: str, postgres_version: int
) -> None:
    psql = postgres_installation(postgres_version) / "bin" / "psql"
    subprocess.run(
        [psql, "--quiet", "--no-psqlrc", "--single-transaction", "--set", "ON_ERROR_STOP=1", empty_database],
        input=render_sql("warehouse"),
        text=True,
        check=True,
    )
    assert all(state.applied for state in status(conn, "warehouse"))
    assert migrate_up(conn, "warehouse") == []
    insert(conn, "warehouse")
    assert schema_version(conn, "public") is None


@contextmanager
def role(conn: psycopg.Connection, name: str) -> Iterator[None]:
    identifier = sql.Identifier(name)
    conn.execute(sql.SQL("CREATE ROLE {}").format(identifier))
    conn.execute(sql.SQL("SET ROLE {}").format(identifier))
    try:
        yield
    finally:
        conn.execute("RESET ROLE")
        conn.execute(sql.SQL("DROP OWNED BY {}").format(identifier))
        conn.execute(sql.SQL("DROP ROLE {}").format(identifier))


def turn_is_free(conn: psycopg.Connection) -> bool:
    return conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
