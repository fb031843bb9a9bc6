"""PostgreSQL dies, is full, has no connections left, ends backends or says nothing: it costs time, and no event."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.checker import check
from tests.support.command import QUICK
from tests.support.figures import fenced, reclaims, repeats
from tests.support.outbox import OutboxTable, fill, outbox_table
from tests.support.processes import wait_for
from tests.support.roles import grant_roles, user_with_role
from tests.support.stream import read_stream, spying, stored, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.checker import Verdict
    from tests.support.command import Starter
    from tests.support.proxy import Proxy
    from tests.support.stream import Spy

    Relay = Starter
    Account = Callable[..., None]

RELAYS = "datname = current_database() AND application_name LIKE 'outbox-notify relay%'"
TERMINATE_ONE = f"""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {RELAYS} ORDER BY random() LIMIT 1
"""  # noqa: S608  # ours
TERMINATE_ALL = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {RELAYS}"  # noqa: S608
# As an ERROR of a server that can write nothing any more, but for what is new.
FULL_DISK = """
    CREATE TABLE disk (is_full boolean);
    INSERT INTO disk VALUES (false);
    CREATE FUNCTION write() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT is_full FROM disk) THEN
            RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER disk BEFORE UPDATE ON event_outbox FOR EACH ROW WHEN (OLD.status = 'in_progress')
    EXECUTE FUNCTION write();
"""


def verdict_of(writers: Writers, url: str, nats: EmbeddedNats) -> Verdict:
    """Wait until the backlog is gone and return what went wrong."""
    with outbox_table(url) as table:
        table.wait_until_settled(60)
        return check(writers.ledger, table.rows(), read_stream(nats.url))


@pytest.mark.slow
def test_t44_postgresql_dies_in_every_way_under_load(
    private_postgres: EmbeddedPostgres, nats_server: EmbeddedNats, relay_process: Relay, account: Account
) -> None:
    url = private_postgres.url
    relays = [relay_process(OUTBOX_DATABASE_URL=url, **QUICK) for _ in range(2)]
    recovered = []
    with spying(nats_server.url) as spy, Writers(url, pause=0.01) as writers:
        for how in ("kill", "immediately", "stop", "kill", "immediately"):
            _wait_for_more(spy, 300)
            if how == "immediately":
                os.kill(private_postgres.pid, signal.SIGQUIT)
                wait_for(lambda: not private_postgres.running, 10, "PostgreSQL to end")
            getattr(private_postgres, "kill" if how == "kill" else "stop")()
            private_postgres.start()
            recovered.append(_next_after(spy, time.monotonic()))
        _wait_for_more(spy, 300)
    verdict = verdict_of(writers, url, nats_server)
    account(verdict, reclaims=reclaims(*relays), recover_s=round(max(recovered), 2))
    assert verdict.problems == {}
    assert max(recovered) < 5
    assert all(relay.running and len(relay.records("wake.ready")) == 6 for relay in relays)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [6, 60])
def test_t45_backends_are_ended_at_random(
    database: str,
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    relay_process: Relay,
    account: Account,
    measured: Account,
    seconds: int,
) -> None:
    relays = [relay_process(**QUICK) for _ in range(2)]
    for relay in relays:
        relay.wait_for_record("wake.ready")
    ended, until = 0, time.monotonic() + seconds
    with Writers(database, pause=0.02) as writers:
        while time.monotonic() < until:
            time.sleep(0.2)
            ended += conn.execute(TERMINATE_ONE).fetchone() == (True,)
        published = stored(nats_server.url)
    verdict = verdict_of(writers, database, nats_server)
    account(verdict, reclaims=reclaims(*relays), fenced=fenced(*relays))
    measured(ended=ended, published=published, written=len(writers.ledger.committed))
    assert verdict.problems == {}
    assert ended > seconds
    # Of what was written meanwhile, most had gone out before it was over.
    assert published > len(writers.ledger.committed) * 0.5
    assert not any("Traceback" in relay.text for relay in relays)


def test_a_full_disk_stops_claims_and_costs_no_repeat(
    database: str, conn: psycopg.Connection, nats_server: EmbeddedNats, relay_process: Relay, account: Account
) -> None:
    conn.execute(FULL_DISK)
    relay = relay_process(
        **{**QUICK, "OUTBOX_LEASE": "1s", "OUTBOX_PUBLISH_TIMEOUT": "500ms"}, OUTBOX_BATCH_SIZE="50"
    )
    with spying(nats_server.url) as spy:
        fill(conn, 50)
        wait_for_stored(nats_server.url, 50)
        conn.execute("UPDATE disk SET is_full = true")
        fill(conn, 1000)
        relay.wait_for_record("settle.postponed")
        time.sleep(3)  # three leases
        out = len(spy.heard)
        conn.execute("UPDATE disk SET is_full = false")
        freed = time.monotonic()
        OutboxTable(conn).wait_until_settled()
        recovered = _next_after(spy, freed)
    account(recover_s=round(recovered, 2), duplicate_acks=repeats(spy), fenced=fenced(relay))
    assert "No space left" in relay.records("settle.postponed")[0]["reason"]
    # No more than what was in hand.
    assert out <= 50 + 3 * 50
    assert recovered < 4
    assert repeats(spy) == 0
    assert stored(nats_server.url) == 1050


def test_a_server_without_free_connections_is_waited_for(
    database: str, conn: psycopg.Connection, nats_server: EmbeddedNats, relay_process: Relay, account: Account
) -> None:
    grant_roles(database, "public", 18)
    with user_with_role(database, "outbox_relay") as url:
        relay = relay_process(OUTBOX_DATABASE_URL=url, **QUICK)
        relay.wait_for_record("wake.ready")
        fill(conn, 1)
        wait_for_stored(nats_server.url, 1)
        conn.execute("ALTER ROLE outbox_relay_user CONNECTION LIMIT 0")
        conn.execute(TERMINATE_ALL)
        fill(conn, 20)
        # Idle or in a claim, each connection of the relay was ended; then nobody lets it in.
        relay.wait_for(r"postponed\".*too many connections for role")
        conn.execute("ALTER ROLE outbox_relay_user CONNECTION LIMIT -1")
        freed = time.monotonic()
        OutboxTable(conn).wait_until_settled()
        recovered = time.monotonic() - freed
        relay.kill()
        conn.execute("DROP OWNED BY outbox_relay_user")
    account(recover_s=round(recovered, 2))
    assert stored(nats_server.url) == 21
    assert recovered < 5


@pytest.mark.slow
@pytest.mark.parametrize("settings", [QUICK, {}], ids=["short_lease", "defaults"])
def test_connections_that_fall_silent_under_load_are_given_up(
    database: str,
    proxied_database: str,
    proxy: Proxy,
    nats_server: EmbeddedNats,
    relay_process: Relay,
    account: Account,
    settings: dict[str, str],
) -> None:
    relay = relay_process(OUTBOX_DATABASE_URL=proxied_database, **settings)
    with spying(nats_server.url) as spy, Writers(database, pause=0.02) as writers:
        _wait_for_more(spy, 300)
        proxy.strand()
        began = time.monotonic()
        relay.wait_for("no answer within")
        _wait_for_more(spy, 300, within=60)
        recovered = _next_after(spy, began + 1)
    verdict = verdict_of(writers, database, nats_server)
    account(verdict, reclaims=reclaims(relay), recover_s=round(recovered, 1), duplicate_acks=repeats(spy))
    assert verdict.problems == {}
    assert recovered < (10 if settings else 22)


@pytest.mark.slow
def test_a_black_hole_before_postgresql_is_left_when_it_heals(
    database: str,
    proxied_database: str,
    proxy: Proxy,
    nats_server: EmbeddedNats,
    relay_process: Relay,
    account: Account,
) -> None:
    relay = relay_process(OUTBOX_DATABASE_URL=proxied_database)
    with spying(nats_server.url) as spy, Writers(database, pause=0.05) as writers:
        _wait_for_more(spy, 200)
        proxy.deaf()
        relay.wait_for("no answer within 15 s")
        relay.wait_for("connection timeout expired")
        proxy.restore()
        recovered = _next_after(spy, time.monotonic())
        _wait_for_more(spy, 200)
    verdict = verdict_of(writers, database, nats_server)
    account(verdict, recover_s=round(recovered, 2), duplicate_acks=repeats(spy))
    assert verdict.problems == {}
    # A connection that is being made when the network heals may have to time out first.
    assert recovered < 8


def _wait_for_more(spy: Spy, events: int, within: float = 20) -> None:
    enough = len(spy.heard) + events
    wait_for(lambda: len(spy.heard) >= enough, within, f"{events} events to pass")


def _next_after(spy: Spy, moment: float) -> float:
    """Return after how many seconds the next event has passed."""
    wait_for(lambda: bool(spy.heard) and spy.heard[-1][2] > moment, 20, "an event to pass")
    return min(when for _, _, when in spy.heard if when > moment) - moment
