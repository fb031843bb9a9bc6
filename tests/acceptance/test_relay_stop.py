"""Relays that are told to stop: what is in hand is settled or given back, and others take it at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.support.checker import check
from tests.support.command import environment
from tests.support.outbox import fill, outbox_table
from tests.support.processes import wait_for
from tests.support.proxy import Proxy
from tests.support.stream import read_stream, stored, stream_exists, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.command import Starter
    from tests.support.outbox import OutboxTable


def get_one_through(table: OutboxTable) -> None:
    """Publish an event and take its row away: only then both servers are known to be reached."""
    fill(table.conn, 1)
    table.wait_until_settled(10)
    table.conn.execute("DELETE FROM event_outbox")


@pytest.mark.parametrize(
    ("number", "turns"), [pytest.param(signal.SIGTERM, 5, marks=pytest.mark.slow), (signal.SIGINT, 2)]
)
def test_t50_relays_that_are_replaced_under_load_lose_and_double_nothing(
    database: str, nats_server: EmbeddedNats, relay_process: Starter, number: signal.Signals, turns: int
) -> None:
    slowest = 0.0
    relay = relay_process(OUTBOX_RELAY_ID="r0")
    with outbox_table(database) as table:
        with Writers(database, pause=0.005) as writers:
            for turn in range(1, turns + 1):
                wait_for_stored(nats_server.url, turn * 500)
                old, relay = relay, relay_process(OUTBOX_RELAY_ID=f"r{turn}")
                relay.wait_for_record("wake.ready")
                began = time.monotonic()
                old.send(number)
                assert old.wait() == 0
                slowest = max(slowest, time.monotonic() - began)
                assert table.in_hand(f"r{turn - 1}") == 0
                assert old.records("relay.stopped")
        table.wait_until_settled()
        verdict = check(writers.ledger, table.rows(), read_stream(nats_server.url))
    print(f"slowest stop: {slowest:.2f} s")  # noqa: T201
    assert verdict.problems == {}
    assert slowest < 5
    assert not relay.records("lease.expired")


def test_relay_obeys_as_soon_as_it_says_that_it_is_ready(database: str, nats_server: EmbeddedNats) -> None:
    impatient = """
import os, signal
from outbox_notify import cli, watching

class Impatient(watching.Narrator):
    def __call__(self, event, /, **facts):
        super().__call__(event, **facts)
        if event == "relay.ready":
            os.kill(os.getpid(), signal.SIGTERM)

watching.Narrator = Impatient
cli.main()
"""
    settings = {"OUTBOX_DATABASE_URL": database, "OUTBOX_NATS_URL": nats_server.url, "OUTBOX_HTTP": "off"}
    ended = subprocess.run(
        [sys.executable, "-c", impatient, "relay"],
        env=environment(**settings),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0
    assert "relay.stopped" in ended.stderr


def test_what_a_stopped_relay_could_not_publish_is_taken_by_another_within_a_second(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    # Neither lease nor sweep ends within this test.
    slow = {"OUTBOX_SWEEP_INTERVAL": "1h", "OUTBOX_LEASE": "1h", "OUTBOX_PUBLISH_TIMEOUT": "3s"}
    with Proxy(nats_server.port) as proxy, outbox_table(database) as table:
        stuck = relay_process(
            OUTBOX_NATS_URL=f"nats://127.0.0.1:{proxy.port}", OUTBOX_RELAY_ID="stuck", **slow
        )
        stuck.wait_for_record("wake.ready")
        get_one_through(table)
        proxy.deaf()
        fill(table.conn, 300)
        wait_for(lambda: table.in_hand("stuck") == 300, 10, "the stuck relay to claim")
        relay_process(OUTBOX_RELAY_ID="other", **slow).wait_for_record("wake.ready")
        assert stuck.stop() == 0
        stopped_at = datetime.now(UTC)
        table.wait_until_settled(10)
    messages = read_stream(nats_server.url)
    late = (max(message.stored_at for message in messages) - stopped_at).total_seconds()
    print(f"the last of {len(messages)} events came {late:.2f} s after the stop")  # noqa: T201
    assert len(messages) == 1 + 300
    assert late < 1


def test_a_second_signal_gives_back_at_once(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    slow = {"OUTBOX_LEASE": "1h", "OUTBOX_PUBLISH_TIMEOUT": "10m", "OUTBOX_SHUTDOWN_TIMEOUT": "10m"}
    with Proxy(nats_server.port) as proxy, outbox_table(database) as table:
        relay = relay_process(
            OUTBOX_NATS_URL=f"nats://127.0.0.1:{proxy.port}", OUTBOX_RELAY_ID="stuck", **slow
        )
        relay.wait_for_record("wake.ready")
        get_one_through(table)
        proxy.deaf()
        fill(table.conn, 300)
        wait_for(lambda: table.in_hand("stuck") == 300, 10, "the relay to claim")
        relay.send(signal.SIGTERM)
        relay.wait_for_record("relay.stopping")
        assert relay.running
        began = time.monotonic()
        assert relay.stop() == 0
        print(f"second signal to exit: {time.monotonic() - began:.2f} s")  # noqa: T201
        assert time.monotonic() - began < 5
        assert table.count() == {"pending": 300}
        assert not any(row.attempts or row.claims for row in table.rows())
    assert "Traceback" not in relay.text


def test_a_stop_that_takes_too_long_gives_back_by_itself(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    slow = {"OUTBOX_LEASE": "1h", "OUTBOX_PUBLISH_TIMEOUT": "10m", "OUTBOX_SHUTDOWN_TIMEOUT": "2s"}
    with Proxy(nats_server.port) as proxy, outbox_table(database) as table:
        relay = relay_process(
            OUTBOX_NATS_URL=f"nats://127.0.0.1:{proxy.port}", OUTBOX_RELAY_ID="stuck", **slow
        )
        relay.wait_for_record("wake.ready")
        get_one_through(table)
        proxy.deaf()
        fill(table.conn, 300)
        wait_for(lambda: table.in_hand("stuck") == 300, 10, "the relay to claim")
        began = time.monotonic()
        assert relay.stop() == 0
        assert time.monotonic() - began < 4
        assert table.count() == {"pending": 300}


@pytest.mark.parametrize("away", ["nats", "postgres"])
def test_a_relay_stops_cleanly_while_a_server_is_away(
    private_postgres: EmbeddedPostgres, nats_server: EmbeddedNats, relay_process: Starter, away: str
) -> None:
    relay = relay_process(OUTBOX_DATABASE_URL=private_postgres.url)
    relay.wait_for_record("wake.ready")
    {"nats": nats_server, "postgres": private_postgres}[away].kill()
    assert relay.wait_for_record("outage.started")["component"] == away
    began = time.monotonic()
    assert relay.stop() == 0
    assert time.monotonic() - began < 8
    assert "Traceback" not in relay.text


def test_drain_publishes_what_is_due_and_leaves_what_is_not(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    with outbox_table(database) as table:
        fill(table.conn, 2000)
        table.conn.execute(
            "INSERT INTO event_outbox (tenant_id, event_type, payload, available_at)"
            " VALUES ('acme', 'later', '1', now() + interval '1 day')"
        )
        relay = relay_process("--drain")
        assert relay.wait() == 0
        assert table.count() == {"published": 2000, "pending": 1}
    assert stored(nats_server.url) == 2000


def test_drain_creates_the_stream_even_when_nothing_is_due(
    nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    began = time.monotonic()
    assert relay_process("--drain", OUTBOX_STREAM="SHOP").wait() == 0
    assert time.monotonic() - began < 5
    assert stream_exists(nats_server.url, "SHOP")


def test_drain_waits_for_what_another_relay_has_in_hand_only_as_long_as_it_is_due(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    with outbox_table(database) as table:
        fill(table.conn, 10, aggregates=1)
        table.conn.execute("""
            UPDATE event_outbox SET status = 'in_progress', claims = 1, claimed_by = 'other',
                lease_token = gen_random_uuid(), lease_until = now() + interval '1 hour' WHERE id = 1
        """)
        # The other nine stand behind it: they are not due, and nothing else is.
        drain = relay_process("--drain")
        assert drain.wait() == 0
        (left,) = drain.records("drain.left")
        assert (left["relay"], left["events"]) == ("other", 1)
        assert 3500 < left["lease_left"] <= 3600
        assert table.count() == {"in_progress": 1, "pending": 9}
    assert stored(nats_server.url) == 0


@pytest.mark.parametrize("away", ["nats", "postgres"])
def test_drain_exits_69_when_a_server_is_away(
    private_postgres: EmbeddedPostgres, nats_server: EmbeddedNats, relay_process: Starter, away: str
) -> None:
    {"nats": nats_server, "postgres": private_postgres}[away].stop()
    began = time.monotonic()
    relay = relay_process(
        "--drain",
        OUTBOX_DATABASE_URL=private_postgres.url,
        OUTBOX_SHUTDOWN_TIMEOUT="2s",
        OUTBOX_LOG_LEVEL="error",
    )
    assert relay.wait() == 69
    assert 2 < time.monotonic() - began < 10
    reasons = {"nats": "no servers available for connection", "postgres": "PostgreSQL: Connection refused"}
    assert relay.text == f"outbox-notify: no progress for 2 s: {reasons[away]}\n"


@pytest.mark.slow
def test_drain_goes_on_as_long_as_there_is_progress(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    with Proxy(nats_server.port) as proxy, outbox_table(database) as table:
        # Each event waits for the one before it: together they take longer than the shutdown timeout.
        proxy.slow(delay=0.1)
        fill(table.conn, 40, aggregates=2)
        relay = relay_process(
            "--drain",
            OUTBOX_NATS_URL=f"nats://127.0.0.1:{proxy.port}",
            OUTBOX_BATCH_SIZE="5",
            OUTBOX_SHUTDOWN_TIMEOUT="3s",
        )
        assert relay.wait() == 0
        assert table.count() == {"published": 40}
