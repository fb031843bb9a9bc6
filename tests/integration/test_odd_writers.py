"""Writers that write in ways few people think of: every committed event arrives, and nothing else does."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from outbox_notify import Event, emit
from outbox_notify.statements import statement
from outbox_notify.testing import emitted, order_violations
from tests.support.arrivals import body, moved, numbers
from tests.support.outbox import fill
from tests.support.postgres import Link
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.arrivals import Drain

WAYS = {
    "merge": """
        MERGE INTO event_outbox USING generate_series(1, 3) AS n ON false
        WHEN NOT MATCHED THEN INSERT (tenant_id, event_type, payload)
        VALUES ('acme', 'stock.moved', jsonb_build_object('n', n))
    """,
    "view": """
        CREATE VIEW shop_events AS SELECT tenant_id, event_type, payload FROM event_outbox;
        INSERT INTO shop_events
        SELECT 'acme', 'stock.moved', jsonb_build_object('n', n) FROM generate_series(1, 3) AS n
    """,
    "common table expression": """
        WITH written AS (
            INSERT INTO event_outbox (tenant_id, event_type, payload)
            SELECT 'acme', 'stock.moved', jsonb_build_object('n', n) FROM generate_series(1, 3) AS n
            RETURNING 1)
        SELECT count(*) FROM written
    """,
    "function that catches": """
        DO $$ BEGIN
            FOR n IN 1..6 LOOP
                BEGIN
                    INSERT INTO event_outbox (tenant_id, event_type, payload)
                    VALUES ('acme', 'stock.moved', jsonb_build_object('n', n));
                    IF n > 3 THEN RAISE 'not this one'; END IF;
                EXCEPTION WHEN raise_exception THEN NULL;
                END;
            END LOOP;
        END $$
    """,
    "trigger of a business table": """
        CREATE TABLE stock (n int);
        CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO event_outbox (tenant_id, event_type, payload)
            VALUES ('acme', 'stock.moved', jsonb_build_object('n', NEW.n));
            RETURN NEW;
        END $$;
        CREATE TRIGGER tell AFTER INSERT ON stock FOR EACH ROW EXECUTE FUNCTION tell();
        INSERT INTO stock VALUES (1), (2), (3)
    """,
}


def copy_in(conn: Link) -> None:
    """Write three events by COPY."""
    with conn.cursor().copy("COPY event_outbox (tenant_id, event_type, payload) FROM STDIN") as copy:
        for n in (1, 2, 3):
            copy.write_row(["acme", "stock.moved", body(n)])


def test_events_arrive_and_wake_in_whichever_way_they_are_written(
    conn: Link, database: str, arrive: Drain
) -> None:
    with psycopg.connect(database, autocommit=True) as sleeper:
        sleeper.execute("LISTEN event_outbox_public")
        sleeper.execute("SELECT pg_advisory_lock(lock_k1, lock_k2) FROM event_outbox_wake()")
        for way in [*WAYS, "copy"]:
            # What the relay of the last round has said to others.
            list(sleeper.notifies(timeout=0))
            conn.execute(WAYS[way].encode()) if way in WAYS else copy_in(conn)
            assert next(sleeper.notifies(timeout=5)).payload == "", way
            assert numbers(arrive(wake="poll")) == [1, 2, 3], way


@pytest.mark.slow
def test_a_hundred_thousand_events_of_one_transaction_arrive_in_order(conn: Link, arrive: Drain) -> None:
    fill(conn, 100_000, aggregates=3000)

    messages = arrive()
    assert len(messages) == 100_000
    assert order_violations(messages, emitted(conn)) == []


def test_savepoints_beyond_what_a_snapshot_lists_keep_and_undo_their_events(
    conn: Link, arrive: Drain
) -> None:
    with conn.transaction():
        for n in range(200):
            with conn.transaction(force_rollback=n % 2 == 1):
                emit(conn, moved(n))
        assert arrive() == []

    assert numbers(arrive()) == list(range(0, 200, 2))


def test_an_event_whose_row_id_is_taken_is_refused_and_does_not_vanish(conn: Link, arrive: Drain) -> None:
    emit(conn, moved(1), moved(2))
    # As after a failover by logical replication, or a restore of the rows alone.
    conn.execute("SELECT setval(pg_get_serial_sequence('event_outbox', 'id'), 1)")

    with pytest.raises(errors.UniqueViolation, match="event_outbox_pkey"):
        emit(conn, moved(3))
    conn.execute("SELECT setval(pg_get_serial_sequence('event_outbox', 'id'), 1)")
    with pytest.raises(errors.UniqueViolation, match="not written"):
        conn.execute("SELECT outbox_emit('acme', 'stock.moved', '1')")
    emit(conn, moved(4))
    assert numbers(arrive()) == [1, 2, 4]


def test_repeats_are_ignored_by_the_statement_that_writes_everything_else() -> None:
    assert statement("emit_once", "public") == f"{statement('emit', 'public')}\nON CONFLICT DO NOTHING"


@contextmanager
def both_writing(conn: Link, database: str) -> Iterator[tuple[Link, Link, Future[list[UUID]]]]:
    """Two writers of one event id; the second waits for the end of the first, in a thread."""
    once = Event("acme", "stock.moved", {"n": 1}, event_id=UUID(int=1))
    with psycopg.connect(database) as one, psycopg.connect(database) as other:
        other.execute("SELECT 1")
        emit(one, once)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(emit, other, once)
            blocked = "SELECT 1 WHERE cardinality(pg_blocking_pids(%s)) > 0"
            wait_for(lambda: conn.execute(blocked, [other.info.backend_pid]).rowcount == 1, 10, "one to wait")
            yield one, other, waiting


@pytest.mark.parametrize("ends", [Link.commit, Link.rollback])
def test_of_two_writers_with_one_event_id_one_is_heard(
    ends: Callable[[Link], None], conn: Link, database: str, arrive: Drain
) -> None:
    with both_writing(conn, database) as (one, other, waiting):
        ends(one)
        assert waiting.result() == [UUID(int=1)]
        other.commit()

    assert numbers(arrive()) == [1]


def prepare(conn: Link, name: str, n: int) -> None:
    """Write an event in a transaction that is left to be committed by somebody else."""
    conn.execute("BEGIN")
    emit(conn, moved(n))
    conn.execute(f"PREPARE TRANSACTION '{name}'".encode())


def test_a_transaction_that_was_prepared_long_ago_brings_its_event_when_it_is_committed(
    conn: Link, arrive: Drain
) -> None:
    prepare(conn, "early", 1)
    prepare(conn, "undone", 2)
    emit(conn, moved(3))
    assert numbers(arrive(retention=0)) == [3]
    assert arrive() == []

    conn.execute("ROLLBACK PREPARED 'undone'")
    conn.execute("COMMIT PREPARED 'early'")
    assert numbers(arrive()) == [1]


@pytest.fixture
def serializable(conn: Link, database: str) -> Iterator[tuple[Link, Link]]:
    """Two writers in SERIALIZABLE transactions that overlap, over a table of their own."""
    conn.execute("CREATE TABLE stock (article int PRIMARY KEY, quantity int)")
    conn.execute("INSERT INTO stock SELECT n, 10 FROM generate_series(1, 2000) AS n")
    conn.execute("ANALYZE stock")
    with psycopg.connect(database) as one, psycopg.connect(database) as other:
        for link in (one, other):
            link.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            link.execute("SELECT 1")
        yield one, other


def sell(link: Link, article: int, looking_at: int) -> None:
    """Change the stock of one article in view of another's, and tell of it."""
    link.execute("SELECT quantity FROM stock WHERE article = %s", [looking_at])
    link.execute("UPDATE stock SET quantity = 0 WHERE article = %s", [article])
    emit(link, moved(article))


def test_serializable_writers_do_not_fail_because_of_their_events(
    serializable: tuple[Link, Link], arrive: Drain
) -> None:
    one, other = serializable
    sell(one, 1, looking_at=1)
    sell(other, 2000, looking_at=2000)
    one.commit()
    other.commit()

    assert numbers(arrive()) == [1, 2000]


def test_a_serializable_writer_that_fails_leaves_no_event(
    serializable: tuple[Link, Link], arrive: Drain
) -> None:
    one, other = serializable
    sell(one, 1, looking_at=2000)
    sell(other, 2000, looking_at=1)
    one.commit()
    with pytest.raises(errors.SerializationFailure):
        other.commit()

    assert numbers(arrive()) == [1]
