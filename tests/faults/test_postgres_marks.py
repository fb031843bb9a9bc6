"""Marks that PostgreSQL does not take at once are tried again; nothing is published again for it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.figures import fenced, repeats
from tests.support.front import STORE, Answer, standing_before
from tests.support.outbox import OutboxTable, fill
from tests.support.postgres import pids
from tests.support.processes import wait_for
from tests.support.stream import spying, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.command import CommandProcess, Starter
    from tests.support.proxy import Proxy

    Relay = Starter
    Account = Callable[..., None]

EVENTS = 3
RELAY = "datname = current_database() AND application_name LIKE 'outbox-notify relay % work'"
WAITING = f"SELECT pid FROM pg_stat_activity WHERE {RELAY} AND wait_event_type = 'Lock'"  # noqa: S608  # ours
COMMITTING = f"SELECT pid FROM pg_stat_activity WHERE {RELAY} AND wait_event = 'PgSleep'"  # noqa: S608  # ours
LOCK = "SELECT FROM event_outbox WHERE id = (SELECT {}(id) FROM event_outbox) FOR UPDATE"
# What PostgreSQL writes into its log when it ends the statement.
LOGGED = {
    "deadlock": "deadlock detected",
    "lock timeout": "canceling statement due to lock timeout",
    "cancelled": "canceling statement due to user request",
    "statement timeout": "canceling statement due to statement timeout",
}
# The first mark takes so long, or only its commit.
SLOW = """
    CREATE SEQUENCE slowly;
    CREATE FUNCTION go_slowly() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('slowly') = 1 THEN
            PERFORM pg_sleep(%s);
        END IF;
        RETURN NEW;
    END $$;
"""
SLOW_MARK = """
    CREATE TRIGGER slowly BEFORE UPDATE ON event_outbox FOR EACH ROW WHEN (NEW.status = 'published')
    EXECUTE FUNCTION go_slowly();
"""
SLOW_COMMIT = """
    CREATE CONSTRAINT TRIGGER slowly AFTER UPDATE ON event_outbox DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.status = 'published') EXECUTE FUNCTION go_slowly();
"""


class Gate:
    """Holds back what JetStream answers, until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def decide(self, _subject: str, _event_id: str) -> Answer:
        self.reached.set()
        self.opened.wait(20)
        return STORE


@pytest.mark.parametrize(
    "how", ["deadlock", "cancelled", pytest.param("lock timeout", marks=pytest.mark.slow)]
)
def test_t25_marks_that_meet_a_lock_are_tried_again(
    database: str,
    conn: psycopg.Connection,
    postgres_server: EmbeddedPostgres,
    nats_server: EmbeddedNats,
    relay_process: Relay,
    account: Account,
    how: str,
) -> None:
    gate, seen = Gate(), len(_log(postgres_server))
    with (
        standing_before(nats_server.url, gate.decide),
        spying(nats_server.url) as spy,
        _other(database) as other,
    ):
        relay = relay_process()
        relay.wait_for_record("wake.ready")
        fill(conn, EVENTS, aggregates=0)
        assert gate.reached.wait(20)
        other.execute(LOCK.format("max").encode())
        gate.opened.set()
        wait_for(lambda: bool(pids(conn, WAITING)), 10, "the mark to wait for the lock")
        if how == "deadlock":
            other.execute(LOCK.format("min").encode())
        if how == "cancelled":
            conn.execute("SELECT pg_cancel_backend(%s)", [pids(conn, WAITING).pop()])
        wait_for(lambda: LOGGED[how] in _log(postgres_server)[seen:], 10, how)
        other.rollback()
        OutboxTable(conn).wait_until_settled()
    _assert_marked_once(conn, relay, repeats(spy))
    account(duplicate_acks=repeats(spy), fenced=fenced(relay))
    assert len(spy.heard) == EVENTS


@pytest.mark.slow
def test_t25_a_mark_that_takes_too_long_is_tried_again(
    conn: psycopg.Connection,
    postgres_server: EmbeddedPostgres,
    nats_server: EmbeddedNats,
    relay_process: Relay,
    account: Account,
) -> None:
    seen = len(_log(postgres_server))
    conn.execute((SLOW % "20" + SLOW_MARK).encode())
    with spying(nats_server.url) as spy:
        relay = relay_process()
        fill(conn, EVENTS, aggregates=0)
        OutboxTable(conn).wait_until_settled()
    assert LOGGED["statement timeout"] in _log(postgres_server)[seen:]
    _assert_marked_once(conn, relay, repeats(spy))
    account(duplicate_acks=repeats(spy), fenced=fenced(relay))
    assert stored(nats_server.url) == EVENTS


@pytest.mark.parametrize("how", ["cut", "terminated"])
def test_t26_a_connection_lost_in_the_commit_of_a_mark(
    proxied_database: str,
    conn: psycopg.Connection,
    proxy: Proxy,
    nats_server: EmbeddedNats,
    relay_process: Relay,
    account: Account,
    how: str,
) -> None:
    conn.execute((SLOW % "1" + SLOW_COMMIT).encode())
    with spying(nats_server.url) as spy:
        relay = relay_process(OUTBOX_DATABASE_URL=proxied_database)
        fill(conn, EVENTS, aggregates=0)
        wait_for(lambda: bool(pids(conn, COMMITTING)), 20, "the mark to commit")
        if how == "cut":
            # The server commits all the same: the relay does not learn it.
            proxy.cut()
        else:
            conn.execute("SELECT pg_terminate_backend(%s)", [pids(conn, COMMITTING).pop()])
        began = time.monotonic()
        relay.wait_for_record("settle.postponed")
        OutboxTable(conn).wait_until_settled()
        recovered = time.monotonic() - began
        # Whatever would be published again is by now.
        fill(conn, 1, aggregates=0)
        wait_for(lambda: len(spy.heard) > EVENTS, 10, "one more event to pass")
    account(duplicate_acks=repeats(spy), fenced=fenced(relay), recover_s=round(recovered, 2))
    assert repeats(spy) == 0
    assert stored(nats_server.url) == EVENTS + 1
    assert {row.attempts for row in OutboxTable(conn).rows()} == {0}
    assert recovered < 5


def _assert_marked_once(conn: psycopg.Connection, relay: CommandProcess, repeated: int) -> None:
    rows = OutboxTable(conn).rows()
    assert [(row.status, row.attempts) for row in rows] == [("published", 0)] * EVENTS
    assert repeated == 0
    assert fenced(relay) == 0
    # Tried again at once, by who met it, not by the sweep.
    assert relay.records("settle.postponed") == []


@contextmanager
def _other(url: str) -> Iterator[psycopg.Connection]:
    """Somebody who locks rows that are in progress, and never waits long enough to be the one who gives way."""
    with psycopg.connect(url, options="-c deadlock_timeout=20s") as other:
        yield other
        other.rollback()


def _log(server: EmbeddedPostgres) -> str:
    return server.log_path.read_text(encoding="utf-8", errors="replace")
