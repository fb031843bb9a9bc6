"""Order within an aggregate, however late a commit, an ack or a retry comes."""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.arrivals import numbers
from tests.support.checker import check, out_of_order
from tests.support.command import QUICK
from tests.support.front import LOSE, LOSE_ACK, REFUSE, STORE, Answer, standing_before
from tests.support.outbox import fill, outbox_table
from tests.support.processes import wait_for
from tests.support.stream import read_stream, stored, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter
    from tests.support.outbox import OutboxTable


@pytest.mark.parametrize(("relays", "events"), [pytest.param(1, 8000, marks=pytest.mark.slow), (2, 4000)])
def test_writers_without_a_pause_keep_their_order(
    database: str, nats_server: EmbeddedNats, relay_process: Starter, relays: int, events: int
) -> None:
    # No sweep within this test: what a claim passed by mistake would be missing, or late.
    for _ in range(relays):
        relay_process(OUTBOX_SWEEP_INTERVAL="1h").wait_for_record("wake.ready")
    with outbox_table(database) as table:
        with Writers(database, pause=0.003, writers=6, events=events) as writers:
            writers.wait()
        table.wait_until_settled()
        verdict = check(writers.ledger, table.rows(), read_stream(nats_server.url))
    assert verdict.problems == {}


def _drawn(table: OutboxTable) -> int:
    """Return how many row ids have been drawn, committed or not."""
    return int(table.conn.execute("SELECT last_value FROM event_outbox_id_seq").fetchall()[0][0])


def test_t22_an_insert_that_takes_long_after_its_id_was_drawn_keeps_its_order(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay_process(OUTBOX_SWEEP_INTERVAL="1h").wait_for_record("wake.ready")
    insert = (
        "INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)"
        " VALUES ('acme', %s, 'article', 'slow', (SELECT to_jsonb(pg_advisory_xact_lock(22)::text)))"
    )

    def write_slowly() -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(insert, ["first"])
            conn.execute(insert, ["second"])

    with outbox_table(database) as table:
        table.conn.execute("SELECT pg_advisory_lock(22)")
        fill(table.conn, 10)
        table.wait_until_settled()
        slow = threading.Thread(target=write_slowly)
        slow.start()
        try:
            wait_for(lambda: _drawn(table) == 11, 15, "the slow writer to draw its id")
            for _ in range(10):
                before = stored(nats_server.url)
                fill(table.conn, 10)
                wait_for_stored(nats_server.url, before + 10)
        finally:
            table.conn.execute("SELECT pg_advisory_unlock(22)")
            slow.join()
        table.wait_until_settled()
    subjects = [message.subject for message in read_stream(nats_server.url)[-2:]]
    assert subjects == ["events.acme.first", "events.acme.second"]


def test_t23_refusals_and_lost_acks_disturb_no_order(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    tries: Counter[str] = Counter()

    def decide(_subject: str, event_id: str) -> Answer:
        """Refuse, or leave unanswered, a fifth of the first tries; always the same ones, so seeds agree."""
        tries[event_id] += 1
        lot = zlib.crc32(event_id.encode()) % 40
        if tries[event_id] > 1 or lot >= 8:
            return STORE
        return REFUSE if lot < 6 else LOSE if lot < 7 else LOSE_ACK

    with outbox_table(database) as table, standing_before(nats_server.url, decide):
        fill(table.conn, 360, aggregates=60)
        for _ in range(2):
            relay_process(OUTBOX_RETRY_BASE="100ms", **QUICK)
        table.wait_until_settled(100)
        rows, messages = table.rows(), read_stream(nats_server.url)
    assert Counter(row.status for row in rows) == {"published": 360}
    assert out_of_order(rows, messages) == []
    assert len(messages) == 360
    assert sum(tries.values()) > 396


def test_a_retry_comes_when_it_is_due_and_its_followers_at_once_behind_it(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    tries: Counter[str] = Counter()

    def decide(_subject: str, event_id: str) -> Answer:
        tries[event_id] += 1
        return REFUSE if event_id == first and tries[event_id] < 4 else STORE

    with outbox_table(database) as table:
        fill(table.conn, 30, aggregates=1)
        first = table.rows()[0].event_id
        with standing_before(nats_server.url, decide):
            # Three waits of 200, 400 and 800 ms at most, and no sweep to help.
            relay_process(OUTBOX_RETRY_BASE="200ms", OUTBOX_SWEEP_INTERVAL="1h")
            table.wait_until_settled(8)
    assert numbers(read_stream(nats_server.url)) == list(range(1, 31))
