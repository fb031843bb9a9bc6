"""Hands that write the relay's columns, or in a table that a relay works on: nobody else's event suffers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from outbox_notify import Event, emit
from outbox_notify.testing import read_stream
from tests.support.arrivals import ARTICLE, body, moved, numbers
from tests.support.events import put
from tests.support.outbox import OutboxTable, fill
from tests.support.stream import wait_for_stored

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedNats
    from tests.support.arrivals import Drain
    from tests.support.command import Starter
    from tests.support.postgres import Link


def lease(until: str) -> dict[str, object]:
    """Return the columns of an event in the hands of a relay that nobody knows."""
    token = UUID(int=2**128 - 1)
    return {"status": "in_progress", "lease_token": token, "lease_until": until, "claimed_by": "stranger"}


def arrive_until_settled(conn: Link, arrive: Drain) -> list[int]:
    """Run relays until none has anything to do, and return the numbers of what arrives."""
    arrived = []
    while OutboxTable(conn).count().keys() & {"pending", "in_progress"}:
        arrived += numbers(arrive(sweep_interval=0.1))
    return arrived


def test_an_event_id_may_come_again_after_its_event_was_pruned(
    conn: Link, arrive: Drain, nats_server: EmbeddedNats
) -> None:
    again = Event("acme", "stock.moved", {"n": 1}, event_id=UUID(int=1))
    emit(conn, again)
    assert len(arrive(retention=0)) == 1
    assert conn.execute("SELECT count(*) FROM event_outbox").fetchone() == (0,)

    emit(conn, again, moved(2))
    assert numbers(arrive(retention=0)) == [2]
    assert numbers(read_stream(nats_server.url)) == [1, 2]
    assert conn.execute("SELECT count(*) FROM event_outbox").fetchone() == (0,)


def test_times_at_the_ends_of_time_disturb_nobody(conn: Link, arrive: Drain) -> None:
    due = ["-infinity", "4713-01-02 BC", "1970-01-01", "now"]
    for n, time in enumerate([*due, "infinity", "294276-12-31"]):
        put(conn, payload=body(n), available_at=time)
    emit(conn, Event("acme", "stock.moved", {"n": 6}, available_at=datetime.now(UTC) + timedelta(days=3650)))

    assert numbers(arrive()) == [0, 1, 2, 3]
    assert arrive() == []
    assert OutboxTable(conn).count() == {"published": 4, "pending": 3}


def test_a_time_of_creation_that_no_calendar_knows_is_still_a_time(conn: Link, arrive: Drain) -> None:
    for n, time in enumerate(["-infinity", "0044-03-15 BC", "294276-12-31", "infinity"]):
        put(conn, payload=body(n), created_at=time)

    messages = arrive()
    years = [datetime.fromisoformat(message.headers["ce-time"]).year for message in messages]
    assert dict(zip(numbers(messages), years, strict=True)) == {0: 1, 1: 1, 2: 9999, 3: 9999}


def test_rows_that_are_inserted_in_another_state_are_left_in_it(conn: Link, arrive: Drain) -> None:
    put(conn, payload=body(0), status="published")
    put(conn, payload=body(1), status="failed", **ARTICLE)
    put(conn, payload=body(2), **lease("infinity"), aggregate_type="article", aggregate_id="B-2")
    put(conn, payload=body(3), aggregate_type="article", aggregate_id="B-2")
    put(conn, payload=body(4), **ARTICLE)
    put(conn, payload=body(5))

    # Behind what is in progress elsewhere its aggregate waits; behind what has failed it does not.
    assert numbers(arrive()) == [4, 5]
    assert OutboxTable(conn).count() == {"published": 3, "failed": 1, "in_progress": 1, "pending": 1}
    conn.execute("UPDATE event_outbox SET lease_until = now() WHERE status = 'in_progress'")
    assert arrive_until_settled(conn, arrive) == [2, 3]


MEDDLE = """
    CREATE TABLE untouched AS SELECT n FROM generate_series(1, 4) AS n;
    CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        this int := NEW.payload ->> 'n';
    BEGIN
        DELETE FROM untouched WHERE n = this;
        IF NOT FOUND THEN
            RETURN NULL;
        ELSIF this = 1 THEN
            DELETE FROM event_outbox WHERE id = NEW.id;
        ELSIF this = 2 THEN
            UPDATE event_outbox SET status = 'pending', lease_token = NULL, lease_until = NULL, claimed_by = NULL
            WHERE id = NEW.id;
        ELSIF this = 3 THEN
            UPDATE event_outbox SET status = 'failed', lease_token = NULL, lease_until = NULL, claimed_by = NULL
            WHERE id = NEW.id;
        ELSE
            UPDATE event_outbox SET lease_token = gen_random_uuid(), lease_until = now() WHERE id = NEW.id;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER meddle AFTER UPDATE ON event_outbox FOR EACH ROW
        WHEN (NEW.status = 'in_progress') EXECUTE FUNCTION meddle()
"""


def test_rows_that_are_changed_between_their_claim_and_their_reading_take_no_other_with_them(
    conn: Link, arrive: Drain
) -> None:
    """Right after their claim one is deleted, and others are given back, given up on, and taken over for a moment."""
    conn.execute(MEDDLE)
    for n in range(7):
        put(conn, payload=body(n), **(ARTICLE if n in {4, 5} else {}))

    arrived = arrive_until_settled(conn, arrive)
    assert sorted(arrived) == [0, 2, 4, 5, 6]
    assert arrived.index(4) < arrived.index(5)
    assert OutboxTable(conn).count() == {"published": 5, "failed": 1}


@pytest.mark.slow
def test_a_table_that_is_emptied_and_numbered_anew_goes_on(
    conn: Link, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay_process(OUTBOX_SWEEP_INTERVAL="1h")
    fill(conn, 50)
    wait_for_stored(nats_server.url, 50)
    OutboxTable(conn).wait_until_settled()

    conn.execute("TRUNCATE event_outbox RESTART IDENTITY")
    for round_ in range(1, 4):
        fill(conn, 5)
        wait_for_stored(nats_server.url, 50 + 5 * round_)
