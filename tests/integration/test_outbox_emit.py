"""The SQL function `outbox_emit`: an INSERT for those who would rather call than insert."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors, sql

from outbox_notify.schema.drift import verify
from outbox_notify.schema.migrate import migrate_up
from outbox_notify.schema.migration import packaged
from tests.support.postgres import ON_BOTH, Link
from tests.support.processes import wait_for
from tests.support.roles import grant_roles

pytestmark = ON_BOTH

WRITTEN = """
    SELECT event_id, tenant_id, event_type, aggregate_type, aggregate_id, content_type, headers, available_at,
        created_at, payload, payload_bytes
    FROM event_outbox ORDER BY id
"""
EVERYTHING = {
    "tenant_id": "acme",
    "event_type": "order.paid",
    "aggregate_type": "order",
    "aggregate_id": "4711",
    "headers": '{"traceparent": "00-01"}',
    "available_at": "2031-01-01T00:00:00Z",
    "content_type": "application/pdf",
    "payload_bytes": b"\x00%PDF",
}

# What no event may hold, and what refuses it.
REFUSED: dict[str, dict[str, object]] = {
    "event_outbox_token_rule": {"tenant_id": "acme inc."},
    "event_outbox_type_rule": {"event_type": "goods.*"},
    "event_outbox_aggregate_id_rule": {"aggregate_type": "order", "aggregate_id": "a\tb"},
    "event_outbox_content_type_rule": {"content_type": "tëxt"},
    "event_outbox_headers_rule": {"headers": '{"Nats-Msg-Id": "mine"}'},
    "event_outbox_one_body": {"payload_bytes": b"and a payload"},
    "event_outbox_whole_aggregate": {"aggregate_id": "4711"},
}

# Whatever a name in the body could be mistaken for.
HOSTILE = """
    CREATE SCHEMA evil;
    CREATE TABLE evil.event_outbox (LIKE event_outbox);
    CREATE DOMAIN evil.uuid AS text CHECK (false);
    CREATE DOMAIN evil.int4 AS text CHECK (false);
    CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '2001-01-01'::timestamptz $$;
    CREATE FUNCTION evil.uuidv7() RETURNS text LANGUAGE sql AS $$ SELECT 'no' $$;
    CREATE FUNCTION evil.event_outbox_ordering_key(text, text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'no' $$;
    CREATE FUNCTION evil.shift(bigint, int) RETURNS text LANGUAGE sql AS $$ SELECT 'no' $$;
    CREATE OPERATOR evil.>> (FUNCTION = evil.shift, LEFTARG = bigint, RIGHTARG = int);
    GRANT USAGE ON SCHEMA evil TO PUBLIC;
"""

TRIGGER = """
    CREATE TABLE orders (id bigint PRIMARY KEY, state text NOT NULL);
    CREATE FUNCTION tell_of_orders() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM outbox_emit('acme', 'order.' || NEW.state, jsonb_build_object('id', NEW.id),
            aggregate_type => 'order', aggregate_id => NEW.id::text);
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER tell AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION tell_of_orders();
"""


def call(conn: Link, schema: str = "public", /, **arguments: object) -> UUID:
    """Call the function by the names of its arguments."""
    named = ", ".join(f"{name} => %({name})s" for name in arguments)
    row = conn.execute(f"SELECT {schema}.outbox_emit({named})".encode(), arguments).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def event_types(conn: Link) -> list[str]:
    return [row[0] for row in conn.execute("SELECT event_type FROM event_outbox ORDER BY id")]


def test_call_writes_what_an_insert_writes(conn: Link) -> None:
    insert = sql.SQL("INSERT INTO event_outbox ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, EVERYTHING)),
        sql.SQL(", ").join(map(sql.Placeholder, EVERYTHING)),
    )
    with conn.transaction():
        event_id = call(conn, **EVERYTHING)
        conn.execute(insert, EVERYTHING)
    called, inserted = conn.execute(WRITTEN.encode()).fetchall()
    assert called[0] == event_id
    assert called[1:] == inserted[1:]


def test_null_means_not_given(conn: Link) -> None:
    optional = dict.fromkeys(
        (*EVERYTHING.keys() - {"tenant_id", "event_type"}, "event_id", "serialize"), None
    )
    with conn.transaction():
        event_id = call(conn, tenant_id="acme", event_type="order.paid", payload='{"n": 1}', **optional)
        conn.execute("SELECT outbox_emit('acme', 'order.paid', '{\"n\": 1}')")
        conn.execute(
            "INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('acme', 'order.paid', '{\"n\": 1}')"
        )
    called, short, inserted = conn.execute(WRITTEN.encode()).fetchall()
    assert event_id.version == 7
    assert called[1:] == short[1:] == inserted[1:]


def test_known_event_id_does_nothing_and_is_returned(conn: Link) -> None:
    event_id = uuid4()
    for payload in ("1", "2"):
        assert call(conn, tenant_id="t", event_type="a", payload=payload, event_id=event_id) == event_id
    assert conn.execute("SELECT event_id, payload FROM event_outbox").fetchall() == [(event_id, 1)]


def test_refusals_are_those_of_the_table(conn: Link) -> None:
    good: dict[str, object] = {"tenant_id": "acme", "event_type": "order.paid", "payload": "1"}
    for rule, bad in REFUSED.items():
        with pytest.raises(errors.CheckViolation) as caught:
            call(conn, **{**good, **bad})
        assert caught.value.diag.constraint_name == rule
    assert event_types(conn) == []


def test_role_that_may_only_insert_may_call_under_any_search_path(
    empty_database: str, postgres_version: int
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        migrate_up(conn, "warehouse")
        grant_roles(empty_database, "warehouse", postgres_version)
        conn.execute("SET search_path = warehouse")
        conn.execute(HOSTILE.encode())
        conn.execute("SET ROLE outbox_writer")
        for path in ("evil, pg_catalog", "evil, public", "''"):
            conn.execute(f"SET search_path = {path}".encode())
            call(conn, "warehouse", **EVERYTHING, serialize=True)
            call(conn, "warehouse", tenant_id="acme", event_type="order.paid", payload="1")
        conn.execute("RESET ROLE")
        found = conn.execute("SELECT count(*), min(available_at) > '2020-01-01' FROM warehouse.event_outbox")
        assert found.fetchone() == (6, True)


def test_role_that_may_not_insert_may_not_call(conn: Link, database: str, postgres_version: int) -> None:
    grant_roles(database, "public", postgres_version)
    conn.execute("SET ROLE outbox_relay")
    with pytest.raises(errors.InsufficientPrivilege, match="event_outbox"):
        call(conn, tenant_id="t", event_type="a", payload="1")


def test_trigger_of_a_user_writes_in_the_transaction_of_the_change(conn: Link) -> None:
    conn.execute(TRIGGER.encode())
    with conn.transaction():
        conn.execute("INSERT INTO orders SELECT n, 'opened' FROM generate_series(1, 3) AS n")
        with conn.transaction(force_rollback=True):
            conn.execute("UPDATE orders SET state = 'taken_back'")
        conn.execute("UPDATE orders SET state = 'paid' WHERE id = 2")
    with conn.transaction(force_rollback=True):
        conn.execute("UPDATE orders SET state = 'rolled_back'")
    with pytest.raises(errors.CheckViolation):
        conn.execute("UPDATE orders SET state = 'not a token'")
    assert event_types(conn) == ["order.opened"] * 3 + ["order.paid"]


def test_calls_of_a_select_get_their_ids_in_its_order(conn: Link) -> None:
    conn.execute("SELECT outbox_emit('t', 'e' || n, '1') FROM generate_series(1, 50) AS n ORDER BY n DESC")
    assert event_types(conn) == [f"e{n}" for n in range(50, 0, -1)]


def test_serialized_calls_wait_for_each_other(conn: Link, database: str) -> None:
    about = {"tenant_id": "acme", "aggregate_type": "order", "aggregate_id": "1", "payload": "1"}

    def write_second() -> None:
        with psycopg.connect(database, application_name="second") as second:
            call(second, **about, event_type="second", serialize=True)

    waits = "SELECT FROM pg_stat_activity WHERE application_name = 'second' AND wait_event_type = 'Lock'"
    thread = threading.Thread(target=write_second, daemon=True)
    with psycopg.connect(database) as first:
        call(first, **about, event_type="first", serialize=True)
        thread.start()
        wait_for(lambda: bool(conn.execute(waits).fetchall()), 20, "the second writer to wait")
        call(first, **about, event_type="still_first")
    thread.join(20)
    assert event_types(conn) == ["first", "still_first", "second"]


def test_database_in_use_gets_the_function_without_waiting(empty_database: str) -> None:
    before = packaged()[:3]
    with psycopg.connect(empty_database, autocommit=True) as conn:
        migrate_up(conn, "public", migrations=before)
        with psycopg.connect(empty_database) as other:
            other.execute("LOCK TABLE event_outbox IN ACCESS EXCLUSIVE MODE")
            applied = migrate_up(conn, "public", lock_timeout=0.02, migrations=packaged()[:4])
        assert [row.version for row in applied] == [4]
        assert verify(conn, "public", packaged()[:4]).good
        call(conn, tenant_id="t", event_type="a", payload="1")
