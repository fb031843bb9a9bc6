"""Faults of the database that `doctor` finds. NATS is away, and that is one row beside them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from outbox_notify.config.settings import Settings
from outbox_notify.operations.doctor import events, rights, schema, table, wake
from outbox_notify.operations.doctor.looking import looking
from outbox_notify.operations.doctor.rights import RIGHTS
from outbox_notify.operations.doctor.schema import SCHEMA
from outbox_notify.operations.doctor.table import TABLE
from outbox_notify.operations.doctor.wake import WAKE
from outbox_notify.postgres.queries import query
from outbox_notify.postgres.relay_names import relay_name
from tests.support.canaries import canary, encoded, found_in
from tests.support.doctor import Said, by_check, examined, troubles
from tests.support.events import put, put_failed
from tests.support.postgres import ON_BOTH, migrate
from tests.support.postgres_pair import PostgresPair
from tests.support.processes import wait_for
from tests.support.roles import grant_roles, user_with_role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres

# That the tests run on a server without fsync and without NATS; nothing else may be said of a good database.
OURS = {"postgres.durability": "warn", "nats": "fail"}


@pytest.fixture
def owner(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@pytest.fixture
def relay_user(database: str, postgres_version: int) -> Iterator[str]:
    """URL for a user who has the relay's role and nothing else."""
    grant_roles(database, "public", postgres_version)
    with user_with_role(database, "outbox_relay") as url:
        yield url


@contextmanager
def connected_relay(url: str) -> Iterator[None]:
    """Hold a connection that is named like one of a relay."""
    with psycopg.connect(url, application_name=relay_name(Settings(relay_id="depot-1"), "work")):
        yield


@contextmanager
def stranger(database: str, **options: str) -> Iterator[tuple[str, str]]:
    """Make a user without any right; yield name and URL."""
    name, address = "doctor_stranger", urlsplit(database)
    with psycopg.connect(database, autocommit=True) as conn:
        made = sql.Identifier(name)
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(made))
        try:
            yield name, address._replace(netloc=f"{name}:secret@{address.hostname}:{address.port}").geturl()
        finally:
            conn.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(made))


def name_of(database: str) -> sql.Identifier:
    return sql.Identifier(urlsplit(database).path.removeprefix("/"))


@ON_BOTH
def test_good_database_is_silent(database: str, relay_user: str) -> None:
    with connected_relay(database), psycopg.connect(database, autocommit=True) as conn:
        put(conn)
        put_failed(conn)
        said = examined(relay_user)
    assert troubles(said) == OURS
    assert said["postgres.relays"].text == "connected: depot-1"
    assert said["schema.differences"].text.startswith("not compared")
    assert said["events.seen"].text == "routes: 1, tenants: 1"


def test_superuser_and_no_relay_are_only_a_warning(database: str) -> None:
    said = examined(database)
    assert troubles(said) == {**OURS, "postgres.relays": "warn", "rights.role": "warn"}
    assert said["rights.role"].holds("warn", "superuser", "roles.sql")
    assert said["postgres.durability"].holds("warn", "fsync off", "ALTER SYSTEM SET fsync = on")
    assert said["schema.differences"].text == "what the migrations make"


@ON_BOTH
def test_faults_of_table_and_wake_are_found_together(database: str, owner: psycopg.Connection) -> None:
    for statement in (
        "ALTER TABLE event_outbox DISABLE TRIGGER event_outbox_wake_relay",
        "ALTER TABLE event_outbox SET (autovacuum_enabled = false)",
        "CREATE INDEX by_tenant ON event_outbox (tenant_id)",
        "DROP INDEX event_outbox_due",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC",
    ):
        owner.execute(statement.encode())
    owner.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name_of(database)))
    with stranger(database) as (writer, _):
        owner.execute(sql.SQL("GRANT INSERT ON event_outbox TO {}").format(sql.Identifier(writer)))
        said = examined(database)
    assert said["wake.trigger"].holds("fail", "disabled", "ALTER TABLE public.event_outbox ENABLE TRIGGER")
    assert said["table.autovacuum"].holds("fail", "leaves public.event_outbox alone", "RESET")
    assert said["schema.differences"].holds("fail", "index event_outbox_due of event_outbox is missing")
    assert said["schema.extras"].holds("warn", "by_tenant")
    assert said["rights.writers"].holds(
        "fail", f"{writer} may not call pg_notify(text,text)", "GRANT EXECUTE ON FUNCTION"
    )
    assert said["postgres.synchronous_commit"].level == "warn"
    found = {"postgres.synchronous_commit", "postgres.relays", "rights.role", "rights.writers"}
    found |= {"schema.differences", "schema.extras", "table.autovacuum", "wake.trigger"}
    assert troubles(said).keys() == found | OURS.keys()


def test_trigger_that_is_gone_is_named_and_its_mend_mends(database: str, owner: psycopg.Connection) -> None:
    owner.execute("DROP TRIGGER event_outbox_wake_relay ON event_outbox")
    settings = Settings(database_url=database)
    said = by_check(WAKE.judged(wake.look(owner, settings)))
    assert said["wake.trigger"].holds("fail", "event_outbox_wake_relay is missing")
    said = by_check(WAKE.judged(wake.look(owner, Settings(database_url=database, wake="poll"))))
    assert troubles(said) == {}


def test_outbox_that_is_missing_old_new_or_edited_is_named(empty_database: str, database: str) -> None:
    said = examined(empty_database)
    assert said["schema.version"].holds("fail", "no outbox in schema public", "outbox-notify migrate")
    assert not any(check.startswith(("rights.", "table.", "wake.", "events.")) for check in said)
    assert said["postgres.writable"].level == "ok"

    with psycopg.connect(database, autocommit=True) as conn:
        settings = Settings(database_url=database)
        conn.execute("DELETE FROM event_outbox_migration WHERE version > 1")
        said = by_check(SCHEMA.judged(schema.look(conn, settings)))
        assert said["schema.version"].holds("fail", "not applied yet: 0002_operators.sql")
        conn.execute("UPDATE event_outbox_migration SET checksum = 'other'")
        assert examined(database)["schema"].holds("fail", "0001_event_outbox.sql was edited")
        conn.execute("INSERT INTO event_outbox_migration (version, name, checksum) VALUES (99, 'x', '')")
        assert examined(database)["schema"].holds("fail", "upgrade the package")


@ON_BOTH
def test_rights_that_a_relay_lacks_are_named_with_their_grants(
    database: str, owner: psycopg.Connection
) -> None:
    with stranger(database) as (name, url):
        owner.execute(sql.SQL("GRANT SELECT ON event_outbox_migration TO {}").format(sql.Identifier(name)))
        said = examined(url)
        row = said["rights.relay"]
        assert row.holds("fail", f"{name} lacks DELETE on event_outbox, SELECT on event_outbox,"), row
        assert "UPDATE of lease_token" in row.text
        # What may not be read is said too, and hides nothing else.
        assert said["events"].holds("fail", "permission denied for table event_outbox")
        assert said["wake.listen"].level == "ok"
        for statement in row.mend.split("; "):
            owner.execute(statement.encode())
        with connected_relay(database):
            assert troubles(examined(url)) == OURS


@ON_BOTH
def test_rights_are_those_of_the_roles_file(
    database: str, owner: psycopg.Connection, postgres_version: int
) -> None:
    """Take away what everybody may call; then the file and what doctor asks for grant the same."""
    owner.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
    for (function,) in owner.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        " AND proname ~ 'advisory|snapshot|xact_id|notif|listening|sleep|lock'"
    ).fetchall():
        owner.execute(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC".encode())
    grant_roles(database, "public", postgres_version)
    with stranger(database) as (name, _):
        settings = Settings(database_url=database)
        owner.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(name)))
        owner.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(name)))
        said = by_check(RIGHTS.judged(rights.look(owner, settings)))
        owner.execute("RESET ROLE")
        for statement in said["rights.relay"].mend.split("; "):
            owner.execute(statement.encode())
        assert granted(owner, name) == granted(owner, "outbox_relay")


def granted(conn: psycopg.Connection, role: str) -> set[tuple[str, str]]:
    """Return what was granted to a role by name in this database, and each right."""
    return set(
        conn.execute(
            """
            SELECT what, privilege_type
            FROM (
                SELECT oid::regclass::text, relacl FROM pg_class
                UNION ALL
                SELECT attrelid::regclass || '.' || attname, attacl FROM pg_attribute
                UNION ALL
                SELECT oid::regprocedure::text, proacl FROM pg_proc
                UNION ALL
                SELECT nspname::text, nspacl FROM pg_namespace
            ) AS object (what, acl)
            CROSS JOIN aclexplode(acl)
            WHERE grantee = %s::regrole
            """,
            [role],
        ).fetchall()
    )


def test_rows_that_are_hidden_from_the_relay_are_named(
    database: str, owner: psycopg.Connection, relay_user: str
) -> None:
    settings = Settings(database_url=relay_user)
    with psycopg.connect(relay_user, autocommit=True) as conn:

        def rows() -> Said:
            return by_check(RIGHTS.judged(rights.look(conn, settings)))["rights.rows"]

        assert rows().level == "ok"
        owner.execute("ALTER TABLE event_outbox ENABLE ROW LEVEL SECURITY")
        assert rows().holds("fail", "hides every event")
        owner.execute("CREATE POLICY part ON event_outbox TO outbox_relay USING (tenant_id = 'acme')")
        hidden = rows()
        assert hidden.holds("warn", "may hide events")
        owner.execute(hidden.mend.encode())
        assert rows().level == "ok"
        owner.execute("DROP POLICY outbox_works ON event_outbox")


def test_what_holds_back_vacuum_is_named(database: str, owner: psycopg.Connection) -> None:
    settings = Settings(database_url=database)

    def horizon() -> tuple[str, str]:
        found = table.look(owner, settings)
        return by_check(TABLE.judged(found))["table.horizon"].text, found.holder.mend if found.holder else ""

    with psycopg.connect(database, application_name="report") as other:
        other.execute("CREATE TABLE scratch ()")
        pid = other.info.backend_pid
        text, mend = horizon()
        assert f"held by session {pid} (postgres, report, idle in transaction)" in text
        assert mend == f"SELECT pg_terminate_backend({pid})"
        other.execute("PREPARE TRANSACTION 'forgotten'")
    try:
        said = examined(database)
        assert said["postgres.two_phase"].holds("warn", "prepared transactions: 1", "OUTBOX_WAKE=poll")
        assert "held by prepared transaction forgotten" in said["table.horizon"].text
        assert horizon()[1] == "ROLLBACK PREPARED 'forgotten', or COMMIT PREPARED"
        assert examined(database, wake="poll")["postgres.two_phase"].level == "ok"
    finally:
        owner.execute("ROLLBACK PREPARED 'forgotten'")
    assert "forgotten" not in horizon()[0]


def test_dead_rows_are_counted(database: str, owner: psycopg.Connection) -> None:
    owner.execute("ALTER TABLE event_outbox SET (autovacuum_vacuum_threshold = 1)")
    settings = Settings(database_url=database)
    for _ in range(30):
        put(owner)
    owner.execute("DELETE FROM event_outbox")
    owner.execute("SELECT pg_stat_force_next_flush()")

    def row() -> Said:
        return by_check(TABLE.judged(table.look(owner, settings)))["table.dead_rows"]

    wait_for(lambda: row().text.startswith("30 dead rows"), 10, "the statistics")
    assert row().holds("warn", "last vacuumed: never", "VACUUM (VERBOSE, ANALYZE) public.event_outbox")


@ON_BOTH
def test_ids_that_lie_behind_are_named_and_the_mend_mends(database: str, owner: psycopg.Connection) -> None:
    settings = Settings(database_url=database)

    def row() -> Said:
        return by_check(TABLE.judged(table.look(owner, settings)))["table.ids"]

    assert row().text == "given up to 0"
    for _ in range(3):
        put(owner)
    assert row().text == "given up to 3"
    owner.execute("ALTER TABLE event_outbox ALTER id RESTART")
    assert row().holds("warn", "next is 1, and 3 is there", "SELECT setval('public.event_outbox_id_seq'")
    owner.execute(row().mend.encode())
    assert (row().level, put(owner)) == ("ok", 4)

    owner.execute("ALTER TABLE event_outbox ALTER id SET MINVALUE -9 SET START -9 RESTART")
    assert put(owner) == -9
    owner.execute("SELECT setval('event_outbox_id_seq', 4)")
    assert row().holds("warn", "ids below zero", "never claimed: 1", "SET id = DEFAULT")
    owner.execute(row().mend.encode())
    assert row().text == "given up to 5"


def test_database_that_takes_no_writes_is_named(database: str, owner: psycopg.Connection) -> None:
    owner.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name_of(database))
    )
    said = examined(database)
    assert said["postgres.writable"].holds("fail", "read-only", "SET default_transaction_read_only = off")
    assert troubles(said).keys() == {"postgres.writable", "postgres.relays", "rights.role", *OURS}


def test_role_with_too_few_connections_is_named(
    database: str, owner: psycopg.Connection, relay_user: str
) -> None:
    owner.execute("ALTER ROLE outbox_relay_user CONNECTION LIMIT 5")
    said = examined(relay_user)
    assert said["postgres.connections"].holds("fail", "may have 5 connections", "CONNECTION LIMIT 9")
    owner.execute("ALTER ROLE outbox_relay_user CONNECTION LIMIT 8")
    with psycopg.connect(relay_user), psycopg.connect(relay_user):
        said = examined(relay_user)
    assert said["postgres.connections"].holds("warn", "a relay that is started now needs 7")


def test_encoding_that_lacks_letters_is_named(postgres_server: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as conn:
        conn.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        try:
            url = postgres_server.database_url("latin")
            migrate(url)
            assert examined(url)["postgres.encoding"].holds("warn", "LATIN1", "ENCODING 'UTF8'")
        finally:
            conn.execute("DROP DATABASE latin WITH (FORCE)")


def test_listen_that_leads_elsewhere_is_named(database: str, postgres_server: EmbeddedPostgres) -> None:
    said = examined(database, listen_database_url=postgres_server.url)
    assert said["wake.server"].holds("fail", "leads to another server or database")
    said = examined(database, listen_database_url="postgresql://nobody@127.0.0.1:1/nowhere")
    assert said["wake"].holds("fail", "OUTBOX_LISTEN_DATABASE_URL"), said["wake"]


def test_server_that_cannot_be_reached_is_one_row_and_the_others_are_shown(
    database: str, nats_server: EmbeddedNats
) -> None:
    said = examined("postgresql://nobody@127.0.0.1:1/nowhere", nats_server.url, sweep_interval=60.0)
    assert said["postgres"].holds("fail", "Connection refused", "OUTBOX_DATABASE_URL")
    assert said["streams.exists"].holds("warn", "a relay makes OUTBOX when it starts")
    assert said["settings.lease"].holds("warn", "only every 60 s", "OUTBOX_SWEEP_INTERVAL=15s")
    assert not any(check.startswith(("schema", "rights")) for check in said)

    wrong = urlsplit(database)
    url = wrong._replace(netloc=f"postgres:{encoded(canary('password'))}@127.0.0.1:{wrong.port}").geturl()
    said = examined(url)
    assert said["postgres"].holds("fail", "authentication failed")
    assert found_in(str(said)) == []


@ON_BOTH
def test_events_are_sought_by_index_whatever_the_database_is_set_to(
    database: str, owner: psycopg.Connection
) -> None:
    here = name_of(database)
    for setting in ("enable_indexscan", "enable_indexonlyscan"):
        owner.execute(sql.SQL("ALTER DATABASE {} SET {} = off").format(here, sql.Identifier(setting)))
    put(owner, payload=Jsonb("x" * 5000))
    put(owner, tenant_id="globex", available_at="infinity")
    put_failed(owner, tenant_id="initech")
    with psycopg.connect(database, autocommit=True) as conn:
        found = events.look(conn, Settings(database_url=database))
        assert found.tenants == ["acme", "globex", "initech"]
        assert found.largest is not None
        assert (found.largest.id, found.largest.bytes > 5000) == (1, True)
        with looking(conn, "public"):
            for name in ("doctor_subjects", "doctor_largest"):
                plan = str(conn.execute(b"EXPLAIN " + query(name, "public").as_bytes(conn)).fetchall())
                assert "Seq Scan" not in plan
                assert "Disabled: true" not in plan, plan
                assert "cost=10000000000" not in plan, plan


@pytest.mark.slow
def test_standby_is_named() -> None:
    with PostgresPair(synchronous=False) as pair:
        said = examined(pair.standby.url)
        assert said["postgres.writable"].holds("fail", "standby", "target_session_attrs=read-write")
        # What can be looked at there is looked at.
        assert {said[check].level for check in ("schema.version", "table.autovacuum")} == {"ok"}
        assert said["wake"].holds("fail", "LISTEN", "read-only"), said["wake"]
        assert examined(pair.url)["postgres.writable"].level == "ok"
