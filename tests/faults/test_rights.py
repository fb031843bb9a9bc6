"""What each role of `deploy/roles.sql` may do, statement by statement, and that its rights are these and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from tests.support.events import put
from tests.support.postgres import ON_BOTH, Link
from tests.support.roles import grant_roles

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = ON_BOTH

ROLES = ("writer", "relay", "operator")
WRITER, READERS, RELAY, OPERATOR = {"writer"}, {"relay", "operator"}, {"relay"}, {"operator"}
EVERYBODY, NOBODY = set(ROLES), set[str]()
INSERT = "INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('t', 'a.b', '1')"
REPLAY = (
    "INSERT INTO event_outbox_replay (id, audit_id, prefix, which, last_id, events)"
    " VALUES ('r', 1, 'events', '{}', 1, 1)"
)

# Columns that each role may write; whatever else is in the table is for nobody.
INSERTED = {
    "event_id", "tenant_id", "event_type", "aggregate_type", "aggregate_id", "payload", "payload_bytes",
    "content_type", "headers", "available_at",
}  # fmt: skip
UPDATED = {
    "relay": {
        "status", "available_at", "attempts", "claims", "lease_token", "lease_until", "claimed_by", "published_at",
        "last_error",
    },
    "operator": {"status", "available_at", "attempts", "claims", "event_id", "last_error"},
}  # fmt: skip

MATRIX: dict[str, set[str]] = {
    INSERT: WRITER,
    f"{INSERT} ON CONFLICT DO NOTHING": WRITER,
    f"{INSERT} ON CONFLICT (event_id) DO NOTHING": NOBODY,
    f"{INSERT} RETURNING id": NOBODY,
    f"{INSERT} ON CONFLICT DO NOTHING RETURNING event_id": NOBODY,
    "SELECT FROM event_outbox": READERS,
    "SELECT payload, headers FROM event_outbox": READERS,
    "SELECT count(*) FROM event_outbox": READERS,
    "COPY event_outbox TO STDOUT": READERS,
    "SELECT id FROM event_outbox FOR UPDATE SKIP LOCKED": READERS,
    "UPDATE event_outbox SET status = 'published', published_at = now()": RELAY,
    "UPDATE event_outbox SET status = 'pending', attempts = 0, claims = 0": READERS,
    "UPDATE event_outbox SET event_id = gen_random_uuid()": OPERATOR,
    "UPDATE event_outbox SET payload = '2'": NOBODY,
    "UPDATE event_outbox SET tenant_id = 'other'": NOBODY,
    "DELETE FROM event_outbox": READERS,
    "TRUNCATE event_outbox": NOBODY,
    "LOCK TABLE event_outbox IN ACCESS EXCLUSIVE MODE": READERS,
    "ALTER TABLE event_outbox DISABLE TRIGGER ALL": NOBODY,
    "ALTER TABLE event_outbox DISABLE ROW LEVEL SECURITY": NOBODY,
    "CREATE POLICY mine ON event_outbox USING (true)": NOBODY,
    "CREATE INDEX ON event_outbox (tenant_id)": NOBODY,
    "CREATE TRIGGER mine AFTER INSERT ON event_outbox EXECUTE FUNCTION event_outbox_notify()": NOBODY,
    "CREATE RULE mine AS ON INSERT TO event_outbox DO INSTEAD NOTHING": NOBODY,
    "CREATE TABLE mine ()": NOBODY,
    "CREATE FUNCTION mine() RETURNS int RETURN 1": NOBODY,
    "ALTER DOMAIN event_outbox_token DROP CONSTRAINT event_outbox_token_rule": NOBODY,
    "ALTER FUNCTION event_outbox_notify() SECURITY DEFINER": NOBODY,
    "DROP TABLE event_outbox": NOBODY,
    "SET session_replication_role = replica": NOBODY,
    "SELECT FROM event_outbox_migration": READERS,
    "INSERT INTO event_outbox_migration (version, name, checksum) VALUES (9, 'x', 'x')": NOBODY,
    "UPDATE event_outbox_migration SET checksum = ''": NOBODY,
    "DELETE FROM event_outbox_migration": NOBODY,
    "SELECT nextval('event_outbox_lease_seq')": RELAY,
    "SELECT setval('event_outbox_lease_seq', 1)": NOBODY,
    "SELECT last_value FROM event_outbox_lease_seq": NOBODY,
    "SELECT nextval(pg_get_serial_sequence('event_outbox', 'id'))": NOBODY,
    "SELECT outbox_emit('t', 'a.b', '1', serialize => true)": WRITER,
    "SELECT event_outbox_ordering_key('t', 'a', 'b')": EVERYBODY,
    "SELECT * FROM event_outbox_wake()": EVERYBODY,
    "LISTEN event_outbox_public": EVERYBODY,
    "SELECT pg_read_file('postgresql.conf')": NOBODY,
    "SELECT FROM event_outbox_audit": OPERATOR,
    "INSERT INTO event_outbox_audit (client, act, arguments, events) VALUES ('me', 'prune', '{}', 1)": OPERATOR,
    "INSERT INTO event_outbox_audit (client, act, role) VALUES ('me', 'prune', 'somebody else')": NOBODY,
    "INSERT INTO event_outbox_audit (client, act, at) VALUES ('me', 'prune', '2001-01-01')": NOBODY,
    "UPDATE event_outbox_audit SET events = events + 1": OPERATOR,
    "UPDATE event_outbox_audit SET act = 'nothing'": NOBODY,
    "DELETE FROM event_outbox_audit": NOBODY,
    "SELECT FROM event_outbox_pause": READERS,
    "INSERT INTO event_outbox_pause (tenant_id, event_type, until, reason) VALUES ('t', 'a', now(), '')": OPERATOR,
    "INSERT INTO event_outbox_pause (tenant_id, by) VALUES ('t', 'somebody else')": NOBODY,
    "UPDATE event_outbox_pause SET until = now()": NOBODY,
    "DELETE FROM event_outbox_pause": OPERATOR,
    "SELECT FROM event_outbox_replay": OPERATOR,
    REPLAY: OPERATOR,
    "UPDATE event_outbox_replay SET position = 1, sent_to = 1, replayed = 1, finished_at = now()": OPERATOR,
    "UPDATE event_outbox_replay SET which = '{}'": NOBODY,
    "DELETE FROM event_outbox_replay": NOBODY,
}


@pytest.fixture
def owner(database: str, postgres_version: int) -> Iterator[Link]:
    """Connection of the owner; the roles have their rights, and one event is in the outbox."""
    grant_roles(database, "public", postgres_version)
    with psycopg.connect(database, autocommit=True) as conn:
        put(conn)
        yield conn


def allowed(conn: Link, role: str, statement: str) -> bool:
    """Return whether a role may run a statement; nothing of it remains."""
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(f"outbox_{role}")))
            _run(conn, statement)
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _run(conn: Link, statement: str) -> None:
    if statement.startswith("COPY"):
        with conn.cursor().copy(statement.encode()) as copy:
            assert list(copy)
    else:
        conn.execute(statement.encode())


def test_t41_each_role_may_run_these_statements_and_not_the_others(owner: Link) -> None:
    may = {statement: {role for role in ROLES if allowed(owner, role, statement)} for statement in MATRIX}
    assert may == MATRIX


def test_t41_each_role_may_write_these_columns_and_not_the_others(owner: Link) -> None:
    columns = {row[0] for row in owner.execute("SELECT attname FROM pg_attribute WHERE attnum > 0"
        " AND NOT attisdropped AND attrelid = 'event_outbox'::regclass")}  # fmt: skip
    assert columns > INSERTED | UPDATED["relay"] | UPDATED["operator"]
    for role in ROLES:
        update = "UPDATE event_outbox SET {} = DEFAULT WHERE false"
        updated = {name for name in columns if allowed(owner, role, update.format(name))}
        assert updated == UPDATED.get(role, set()), role
        right = "SELECT has_column_privilege(%s, 'event_outbox', %s, 'INSERT')"
        inserted = {
            name for name in columns if owner.execute(right, [f"outbox_{role}", name]).fetchone() == (True,)
        }
        assert inserted == (INSERTED if role == "writer" else set()), role


def test_t41_the_catalog_knows_of_no_other_right(owner: Link) -> None:
    """Whatever a migration adds to the schema is for nobody until it is granted, and tried here."""
    rows = owner.execute("""
        SELECT DISTINCT replace(grantee::regrole::text, 'outbox_', ''), relname::text, lower(privilege_type)
        FROM (
            SELECT relname, (aclexplode(relacl)).* FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND starts_with(relname, 'event_outbox')
            UNION ALL
            SELECT relname, (aclexplode(attacl)).* FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
            WHERE relnamespace = 'public'::regnamespace AND starts_with(relname, 'event_outbox')
        ) AS granted
        WHERE grantee <> grantor
    """).fetchall()
    table, history = "event_outbox", "event_outbox_migration"
    audit, pause, replay = "event_outbox_audit", "event_outbox_pause", "event_outbox_replay"
    assert set(rows) == {
        ("writer", table, "insert"),
        *((role, table, right) for role in READERS for right in ("select", "update", "delete")),
        *((role, history, "select") for role in READERS),
        ("relay", "event_outbox_lease_seq", "usage"),
        *(("operator", kept, right) for kept in (audit, replay) for right in ("select", "insert", "update")),
        *(("operator", pause, right) for right in ("select", "insert", "delete")),
        ("relay", pause, "select"),
    }


def test_t41_the_roles_have_no_powers_of_their_own(owner: Link) -> None:
    powers = owner.execute("""
        SELECT rolname, memberships FROM pg_roles
        LEFT JOIN (SELECT member, count(*) AS memberships FROM pg_auth_members GROUP BY member) AS others
            ON member = pg_roles.oid
        WHERE rolname IN ('outbox_writer', 'outbox_relay', 'outbox_operator')
          AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolreplication OR rolbypassrls
               OR memberships > 0)
    """).fetchall()
    assert powers == []
