from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from outbox_notify import Event, emit
from outbox_notify.schema.migrate import migrate_up, schema_version
from tests.support.postgres import ON_BOTH
from tests.support.roles import grant_roles

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = ON_BOTH

SCHEMA = "warehouse"
INSERT = "INSERT INTO warehouse.event_outbox (tenant_id, event_type, payload) VALUES ('t', 'a.b', '{}')"

NOW = datetime.now(UTC)
RELAYS_COLUMNS = {
    "created_at": NOW,
    "status": "published",
    "attempts": 3,
    "claims": 3,
    "lease_token": uuid4(),
    "lease_until": NOW,
    "claimed_by": "me",
    "published_at": NOW,
    "last_error": "none",
}
WRITERS_COLUMNS = [
    "event_id",
    "tenant_id",
    "event_type",
    "aggregate_type",
    "aggregate_id",
    "payload",
    "payload_bytes",
    "content_type",
    "headers",
    "created_at",
]

# What each role must be able to do, and what must be refused.
GRANTED = {
    "relay": [
        "SELECT * FROM warehouse.event_outbox FOR UPDATE SKIP LOCKED",
        (
            "UPDATE warehouse.event_outbox SET status = 'in_progress', lease_token = gen_random_uuid(),"
            " lease_until = now(), claimed_by = 'relay', claims = claims + 1"
        ),
        (
            "UPDATE warehouse.event_outbox SET status = 'pending', lease_token = NULL, lease_until = NULL,"
            " claimed_by = NULL, attempts = attempts + 1, available_at = now(), last_error = 'no answer'"
        ),
        "UPDATE warehouse.event_outbox SET status = 'published', published_at = now()",
        "DELETE FROM warehouse.event_outbox",
        "SELECT nextval('warehouse.event_outbox_lease_seq')",
        "SELECT * FROM warehouse.event_outbox_wake()",
        "LISTEN event_outbox_warehouse",
    ],
    "operator": [
        "SELECT * FROM warehouse.event_outbox",
        "UPDATE warehouse.event_outbox SET status = 'pending', attempts = 0, claims = 0",
        "UPDATE warehouse.event_outbox SET available_at = created_at",
        "UPDATE warehouse.event_outbox SET event_id = gen_random_uuid()",
        "DELETE FROM warehouse.event_outbox WHERE status = 'failed'",
        "SELECT pg_notify(channel, 'scan') FROM warehouse.event_outbox_wake()",
    ],
}
REFUSED = {
    "writer": [
        INSERT.replace("payload)", "payload, id)").replace("'{}')", "'{}', DEFAULT)"),
        "SELECT FROM warehouse.event_outbox",
        "SELECT FROM warehouse.event_outbox_migration",
        f"{INSERT} RETURNING id",
        "UPDATE warehouse.event_outbox SET tenant_id = 'other'",
        "DELETE FROM warehouse.event_outbox",
        "TRUNCATE warehouse.event_outbox",
        "CREATE TABLE warehouse.mine ()",
    ],
    "relay": [
        INSERT,
        "TRUNCATE warehouse.event_outbox",
        "ALTER TABLE warehouse.event_outbox DISABLE TRIGGER ALL",
        "DELETE FROM warehouse.event_outbox_migration",
    ],
    "operator": [
        INSERT,
        "UPDATE warehouse.event_outbox SET payload = '{}'",
        "UPDATE warehouse.event_outbox SET lease_token = gen_random_uuid()",
        "TRUNCATE warehouse.event_outbox",
        "UPDATE warehouse.event_outbox_migration SET checksum = ''",
    ],
}


@pytest.fixture
def owner(empty_database: str, postgres_version: int) -> Iterator[psycopg.Connection]:
    """Connection of the owner to a migrated schema; each role exists and one event is in the outbox."""
    with psycopg.connect(empty_database, autocommit=True) as conn:
        migrate_up(conn, SCHEMA)
        grant_roles(empty_database, SCHEMA, postgres_version)
        conn.execute(INSERT.encode())
        yield conn


@contextmanager
def acting_as(conn: psycopg.Connection, role: str) -> Iterator[None]:
    conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(f"outbox_{role}")))
    try:
        yield
    finally:
        conn.execute("RESET ROLE")


def test_writer_inserts(owner: psycopg.Connection) -> None:
    with acting_as(owner, "writer"):
        owner.execute(INSERT.encode())
        owner.execute(f"{INSERT} ON CONFLICT DO NOTHING".encode())
    assert owner.execute("SELECT count(*) FROM warehouse.event_outbox").fetchone() == (3,)


def test_writer_emits_with_every_field(owner: psycopg.Connection) -> None:
    event = Event("t", "stock.moved", {"n": 1}, aggregate_type="bin", aggregate_id="7", headers={"x": "y"})
    raw = Event("t", "stock.moved", payload_bytes=b"\x00", content_type="application/octet-stream")
    with acting_as(owner, "writer"), owner.transaction():
        emit(owner, event, raw, serialize=True, schema=SCHEMA)
    assert owner.execute("SELECT count(*) FROM warehouse.event_outbox").fetchone() == (3,)


def test_writer_wakes_a_waiting_relay(owner: psycopg.Connection, empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as relay, acting_as(relay, "relay"):
        relay.execute("LISTEN event_outbox_warehouse")
        relay.execute("SELECT pg_advisory_lock(lock_k1, lock_k2) FROM warehouse.event_outbox_wake()")
        with acting_as(owner, "writer"):
            owner.execute(INSERT.encode())
        assert [note.channel for note in relay.notifies(timeout=10, stop_after=1)] == [
            "event_outbox_warehouse"
        ]


def test_writer_may_not_set_what_the_relay_keeps(owner: psycopg.Connection) -> None:
    insert = (
        "INSERT INTO warehouse.event_outbox (tenant_id, event_type, payload, {}) VALUES ('t', 'a', '1', %s)"
    )
    for column, value in RELAYS_COLUMNS.items():
        with acting_as(owner, "writer"), pytest.raises(InsufficientPrivilege):
            owner.execute(sql.SQL(insert).format(sql.Identifier(column)), [value])


def test_relay_may_not_change_what_the_writer_wrote(owner: psycopg.Connection) -> None:
    for column in WRITERS_COLUMNS:
        statement = sql.SQL("UPDATE warehouse.event_outbox SET {} = DEFAULT").format(sql.Identifier(column))
        with acting_as(owner, "relay"), pytest.raises(InsufficientPrivilege):
            owner.execute(statement)


@pytest.mark.parametrize("role", GRANTED)
def test_role_may_do_its_work(owner: psycopg.Connection, role: str) -> None:
    with acting_as(owner, role):
        for statement in GRANTED[role]:
            owner.execute(statement.encode())
        assert schema_version(owner, SCHEMA) is not None


@pytest.mark.parametrize("role", REFUSED)
def test_role_may_do_nothing_else(owner: psycopg.Connection, role: str) -> None:
    for statement in REFUSED[role]:
        with acting_as(owner, role), pytest.raises(InsufficientPrivilege):
            owner.execute(statement.encode())


def test_rights_that_were_revoked_from_everyone_are_granted(
    owner: psycopg.Connection, empty_database: str, postgres_version: int
) -> None:
    owner.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA warehouse FROM PUBLIC")
    for function in (
        "pg_current_xact_id()",
        "pg_try_advisory_xact_lock_shared(int, int)",
        "pg_advisory_xact_lock(int, int)",
        "pg_advisory_lock(int, int)",
        "pg_notify(text, text)",
        "pg_notification_queue_usage()",
    ):
        owner.execute(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC".encode())
    with acting_as(owner, "writer"), pytest.raises(InsufficientPrivilege):
        owner.execute(INSERT.encode())

    grant_roles(empty_database, SCHEMA, postgres_version)
    test_writer_emits_with_every_field(owner)
    test_writer_wakes_a_waiting_relay(owner, empty_database)
    test_role_may_do_its_work(owner, "operator")


def test_running_the_file_again_takes_back_what_was_granted_by_hand(
    owner: psycopg.Connection, empty_database: str, postgres_version: int
) -> None:
    owner.execute("GRANT SELECT, UPDATE ON warehouse.event_outbox TO outbox_writer")
    grant_roles(empty_database, SCHEMA, postgres_version)
    with acting_as(owner, "writer"):
        owner.execute(INSERT.encode())
        with pytest.raises(InsufficientPrivilege):
            owner.execute("SELECT FROM warehouse.event_outbox")
