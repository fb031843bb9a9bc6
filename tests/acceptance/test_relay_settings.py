"""Settings that change what the relay does, and what it says when it cannot work at all."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.arrivals import numbers
from tests.support.front import REFUSE, STORE, Answer, standing_before
from tests.support.outbox import fill, outbox_table
from tests.support.postgres import migrate
from tests.support.processes import wait_for
from tests.support.roles import grant_roles
from tests.support.stream import create_stream, read_stream, stored, wait_for_stored

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.command import Starter


@pytest.mark.parametrize("ordering", ["aggregate", "none"])
def test_without_ordering_nobody_waits_for_an_event_that_is_tried_again(
    database: str, nats_server: EmbeddedNats, relay_process: Starter, ordering: str
) -> None:
    with outbox_table(database) as table:
        fill(table.conn, 10, aggregates=1)
        first = table.rows()[0].event_id
        tries: Counter[str] = Counter()

        def decide(_subject: str, event_id: str) -> Answer:
            tries[event_id] += 1
            return REFUSE if event_id == first and tries[event_id] < 3 else STORE

        with standing_before(nats_server.url, decide):
            relay_process(OUTBOX_ORDERING=ordering, OUTBOX_RETRY_BASE="200ms", OUTBOX_SWEEP_INTERVAL="500ms")
            table.wait_until_settled()
    in_order = list(range(1, 11))
    assert numbers(read_stream(nats_server.url)) == (
        in_order if ordering == "aggregate" else [*in_order[1:], 1]
    )


@pytest.mark.parametrize("on_failed", ["skip", "block"])
def test_a_failed_event_holds_back_its_aggregate_only_when_told_to(
    database: str,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    command_process: Starter,
    on_failed: str,
) -> None:
    create_stream(nats_server.url, "events.>", max_msg_size=2000)
    with outbox_table(database) as table:
        fill(table.conn, 1, aggregates=1, size=3000)
        fill(table.conn, 20, aggregates=2)
        # No sweep within this test: what an operator frees goes out at once.
        relay_process(OUTBOX_ON_FAILED=on_failed, OUTBOX_SWEEP_INTERVAL="1h")
        # article-0 holds the large one, and every second of the others.
        odd = list(range(1, 21, 2))
        if on_failed == "skip":
            wait_for(
                lambda: table.count() == {"published": 20, "failed": 1}, 20, "the others to be published"
            )
        else:
            wait_for(
                lambda: table.count() == {"published": 10, "failed": 1, "pending": 10},
                20,
                "one to be blocked",
            )
            assert numbers(read_stream(nats_server.url)) == odd
            fill(table.conn, 2, aggregates=2)
            wait_for_stored(nats_server.url, 11)
            assert table.count()["pending"] == 11
            discard = command_process("failed", "discard", "--all", "--yes", OUTBOX_DATABASE_URL=database)
            assert discard.wait() == 0, discard.text
            table.wait_until_settled(5)
        even = [message.json["n"] for message in read_stream(nats_server.url) if message.json["n"] % 2 == 0]
    assert even == [*range(2, 21, 2), *([] if on_failed == "skip" else [2])]


def test_with_retention_0_published_events_are_deleted(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay_process(OUTBOX_RETENTION="0")
    with outbox_table(database) as table:
        for _ in range(5):
            fill(table.conn, 400, aggregates=1)
        wait_for(lambda: not table.count(), 20, "an empty table")
    assert numbers(read_stream(nats_server.url)) == [*range(1, 401)] * 5


@pytest.mark.slow
def test_published_events_are_pruned_after_the_retention_and_nothing_else(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    create_stream(nats_server.url, "events.>", max_msg_size=2000)
    with outbox_table(database) as table:
        fill(table.conn, 1, size=3000)
        fill(table.conn, 1500)
        table.conn.execute(
            "INSERT INTO event_outbox (tenant_id, event_type, payload, available_at)"
            " VALUES ('acme', 'later', '1', now() + interval '1 day')"
        )
        relay_process(OUTBOX_RETENTION="3s", OUTBOX_SWEEP_INTERVAL="200ms")
        wait_for(lambda: table.count()["published"] == 1500, 20, "everything to be published")
        wait_for(lambda: table.count() == {"failed": 1, "pending": 1}, 20, "what is old to be pruned")
    assert stored(nats_server.url) == 1500


def test_small_batches_and_a_small_budget_of_bytes_only_cost_rounds(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    with outbox_table(database) as table:
        fill(table.conn, 100, aggregates=3, size=20_000)
        relay_process(OUTBOX_BATCH_SIZE="7", OUTBOX_MAX_IN_FLIGHT_BYTES="64KiB")
        table.wait_until_settled()
    came = numbers(read_stream(nats_server.url))
    for aggregate in range(3):
        assert [n for n in came if n % 3 == aggregate] == [n for n in range(1, 101) if n % 3 == aggregate]


def test_the_outbox_may_live_in_a_schema_of_its_own(
    empty_database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    migrate(empty_database, "shop_events")
    relay = relay_process(
        OUTBOX_DATABASE_URL=empty_database, OUTBOX_SCHEMA="shop_events", OUTBOX_SWEEP_INTERVAL="1h"
    )
    relay.wait_for_record("wake.ready")
    with outbox_table(empty_database, "shop_events") as table:
        table.conn.execute("""
            INSERT INTO shop_events.event_outbox (tenant_id, event_type, payload) VALUES ('acme', 'opened', '1')
        """)
        table.wait_until_settled(5)
    assert stored(nats_server.url) == 1


def test_two_outboxes_of_one_database_do_not_meet(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    migrate(database, "shop_events")
    relay_process(OUTBOX_SCHEMA="shop_events", OUTBOX_WAKE="always").wait_for_record("wake.ready")
    with outbox_table(database) as table, outbox_table(database, "shop_events") as other:
        fill(table.conn, 5)
        other.conn.execute("""
            INSERT INTO shop_events.event_outbox (tenant_id, event_type, payload) VALUES ('acme', 'opened', '1')
        """)
        other.wait_until_settled()
        assert table.count() == {"pending": 5}
    assert [message.subject for message in read_stream(nats_server.url)] == ["events.acme.opened"]


@pytest.mark.parametrize("flags", [(), ("--drain",)])
def test_a_missing_schema_is_one_line_and_78(
    empty_database: str, relay_process: Starter, flags: tuple[str, ...]
) -> None:
    relay = relay_process(*flags, OUTBOX_DATABASE_URL=empty_database, OUTBOX_LOG_LEVEL="error")
    assert relay.wait() == 78
    (line,) = relay.text.splitlines()
    assert "outbox-notify migrate" in line


def _login(server: EmbeddedPostgres, rights: str | None) -> str:
    """Make a role `clerk` with the rights of a role of roles.sql, or none; return the URL for it."""
    with psycopg.connect(server.url, autocommit=True) as conn:
        conn.execute("CREATE ROLE clerk LOGIN PASSWORD 'secret'")
        if rights:
            grant_roles(server.url, "public", 18)
            conn.execute(f"GRANT {rights} TO clerk")
    return f"postgresql://clerk:secret@127.0.0.1:{server.port}/postgres"


@pytest.mark.parametrize("rights", [None, "outbox_writer"])
def test_a_missing_right_is_one_line_and_77(
    private_postgres: EmbeddedPostgres, relay_process: Starter, rights: str | None
) -> None:
    relay = relay_process(OUTBOX_DATABASE_URL=_login(private_postgres, rights), OUTBOX_LOG_LEVEL="error")
    assert relay.wait() == 77
    (line,) = relay.text.splitlines()
    assert "event_outbox" in line
    assert "roles.sql" in line


def test_the_relays_role_has_all_the_rights_that_a_relay_needs(
    private_postgres: EmbeddedPostgres, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    url = _login(private_postgres, "outbox_relay")
    relay = relay_process(OUTBOX_DATABASE_URL=url, OUTBOX_RETENTION="1s", OUTBOX_SWEEP_INTERVAL="200ms")
    relay.wait_for_record("wake.ready")
    with outbox_table(private_postgres.url) as table:
        fill(table.conn, 100)
        wait_for_stored(nats_server.url, 100)
        wait_for(lambda: not table.count(), 20, "everything to be pruned")
    assert relay.stop() == 0
    assert "permission" not in relay.text
