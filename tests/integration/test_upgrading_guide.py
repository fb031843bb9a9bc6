"""The SQL of docs/how-to/upgrading.md moves every event once and in order, while writers go on."""

from __future__ import annotations

import threading
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest

from tests.support.guides import examples
from tests.support.postgres import ON_BOTH, Link
from tests.support.processes import wait_for
from tests.support.roles import grant_roles

# What `create_tables` of nats-outbox makes, without its indexes.
NATS_OUTBOX = """
    CREATE TABLE outbox_events (
        id bigserial PRIMARY KEY,
        event_id uuid NOT NULL UNIQUE,
        subject text NOT NULL,
        headers jsonb NOT NULL,
        payload jsonb NOT NULL,
        status varchar(20) NOT NULL CHECK (status IN ('pending', 'published', 'failed')),
        retry_count smallint NOT NULL,
        last_error text,
        aggregate_id text,
        aggregate_type text,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        scheduled_at timestamptz NOT NULL DEFAULT now(),
        published_at timestamptz
    )
"""
# Its publish_event: the ORM asks for the id of what it has inserted.
NATS_OUTBOX_EVENT = """
    INSERT INTO outbox_events (event_id, subject, headers, payload, status, retry_count, aggregate_type, aggregate_id)
    VALUES (%(id)s, 'photo.created', jsonb_build_object('Nats-Msg-Id', %(id)s::text, 'traceparent', '00-01'),
        to_jsonb(%(n)s::int), 'pending', 0, 'Photo', '7')
    RETURNING id
"""
OWN_EVENT = (
    "INSERT INTO outbox (topic, key, body) VALUES ('photo.created', '7', to_jsonb(%(n)s::int)) RETURNING id"
)


class Old(NamedTuple):
    """An outbox to leave, and the examples of the guide that are about it."""

    table: str
    event: str
    published: str
    pending: str
    examples: list[str]


def nats_outbox() -> Old:
    function, trial, move, _ = examples("upgrading", "sql")[:4]
    return Old(NATS_OUTBOX, NATS_OUTBOX_EVENT, "UPDATE outbox_events SET status = 'published'",
        "SELECT FROM outbox_events WHERE status = 'pending'", [function, trial, move])  # fmt: skip


def own() -> Old:
    table, function, move = examples("upgrading", "sql")[4:]
    return Old(table, OWN_EVENT, "UPDATE outbox SET sent_at = now()",
        "SELECT FROM outbox WHERE sent_at IS NULL", [function, move])  # fmt: skip


def write(conn: Link, old: Old, *numbers: int) -> None:
    for n in numbers:
        assert conn.execute(old.event.encode(), {"n": n, "id": UUID(int=n)}).fetchone()


def moved(conn: Link) -> list[int]:
    return [row[0] for row in conn.execute("SELECT payload FROM event_outbox ORDER BY id")]


@ON_BOTH
@pytest.mark.parametrize("old", [nats_outbox(), own()], ids=["nats-outbox", "own"])
def test_every_event_is_moved_once_and_in_order(conn: Link, database: str, old: Old) -> None:
    *before, move = old.examples
    conn.execute(old.table.encode())
    write(conn, old, 1, 2)
    conn.execute(old.published.encode())
    write(conn, old, *range(3, 20))
    for example in before:
        conn.execute(example.encode())
    assert moved(conn) == []

    def run_the_move() -> None:
        with psycopg.connect(database, autocommit=True, application_name="move") as mover:
            mover.execute(move.encode())

    waits = "SELECT FROM pg_stat_activity WHERE application_name = 'move' AND wait_event_type = 'Lock'"
    thread = threading.Thread(target=run_the_move)
    with psycopg.connect(database) as writer:
        write(writer, old, 20)
        thread.start()
        wait_for(lambda: bool(conn.execute(waits.encode()).fetchall()), 20, "the move to wait")
    thread.join(20)

    assert moved(conn) == list(range(3, 21))
    assert conn.execute(old.pending.encode()).fetchall() == []
    write(conn, old, 21)
    conn.execute("SELECT outbox_emit('acme', 'photo.created', '22')")
    assert moved(conn) == list(range(3, 23))
    assert conn.execute(old.pending.encode()).fetchall() == []


def test_event_of_nats_outbox_keeps_what_it_is(conn: Link) -> None:
    old = nats_outbox()
    conn.execute(old.table.encode())
    write(conn, old, 1, 2, 3)
    conn.execute("UPDATE outbox_events SET scheduled_at = '2031-01-01Z' WHERE id = 2")
    conn.execute("UPDATE outbox_events SET scheduled_at = '2031-01-01Z', retry_count = 3 WHERE id = 3")
    for example in old.examples:
        conn.execute(example.encode())
    rows = conn.execute("""
        SELECT event_id, event_type, aggregate_type, aggregate_id, headers, available_at > created_at
        FROM event_outbox ORDER BY id
    """).fetchall()
    same = ("photo.created", "Photo", "7", {"traceparent": "00-01"})
    assert rows == [(UUID(int=n), *same, later) for n, later in [(1, False), (2, True), (3, False)]]
    conn.execute(examples("upgrading", "sql")[3].encode())


def test_user_that_writes_to_the_old_table_needs_the_rights_of_a_writer(conn: Link, database: str) -> None:
    old = own()
    conn.execute(old.table.encode())
    for example in old.examples:
        conn.execute(example.encode())
    grant_roles(database, "public", 18)
    conn.execute("GRANT INSERT, SELECT ON outbox TO outbox_writer")
    conn.execute("GRANT USAGE ON SEQUENCE outbox_id_seq TO outbox_writer")
    conn.execute("SET ROLE outbox_writer")
    write(conn, old, 1)
    conn.execute("RESET ROLE")
    assert moved(conn) == [1]
