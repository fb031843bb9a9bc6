"""Relays that die, freeze, or are killed by an event: nothing is lost, doubled or out of order."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.arrivals import numbers
from tests.support.checker import check
from tests.support.command import QUICK
from tests.support.figures import reclaims
from tests.support.front import LOSE, STORE, Answer, standing_before
from tests.support.outbox import fill, outbox_table
from tests.support.processes import wait_for
from tests.support.stream import read_stream, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import CommandProcess, Starter
    from tests.support.outbox import OutboxTable


def catch_with_events(relay: CommandProcess, table: OutboxTable, name: str) -> int:
    """Freeze a relay at a moment when it has events in hand; return how many."""
    for _ in range(500):
        relay.freeze()
        if table.in_hand(name):
            # What it had asked for goes on without it.
            time.sleep(0.2)
            if in_hand := table.in_hand(name):
                return in_hand
        relay.thaw()
        time.sleep(0.01)
    raise AssertionError(f"relay {name} never had events in hand:\n{relay.text}")


@pytest.mark.slow
def test_a_relay_killed_half_way_costs_nothing_but_time(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    killed, other = (relay_process(OUTBOX_RELAY_ID=name, **QUICK) for name in "ab")
    with outbox_table(database) as table, Writers(database, events=20_000) as writers:
        wait_for_stored(nats_server.url, 10_000, timeout=60)
        caught = catch_with_events(killed, table, "a")
        killed.kill()
        writers.wait()
        table.wait_until_settled(60)
        verdict = check(writers.ledger, table.rows(), read_stream(nats_server.url))
    assert verdict.problems == {}
    assert reclaims(other) == caught >= 1
    assert len(writers.ledger.committed) >= 20_000
    assert writers.ledger.rolled_back


def test_t15_a_relay_that_was_overtaken_changes_nothing(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    frozen, other = (relay_process(OUTBOX_RELAY_ID=name, **QUICK) for name in "ab")
    with outbox_table(database) as table:
        with Writers(database, pause=0.005) as writers:
            wait_for_stored(nats_server.url, 500)
            catch_with_events(frozen, table, "a")
            wait_for_stored(nats_server.url, 1500)
        table.wait_until_settled(60)
        before = table.rows()
        frozen.thaw()
        frozen.wait_for_record("lease.lost")
        assert frozen.stop() == 0
        assert table.rows() == before
        verdict = check(writers.ledger, table.rows(), read_stream(nats_server.url))
    assert verdict.problems == {}
    assert reclaims(other) >= 1


@pytest.mark.slow
def test_four_relays_that_come_and_go_keep_every_promise(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relays = [relay_process(OUTBOX_RELAY_ID=f"r{n}", **QUICK) for n in range(4)]
    with outbox_table(database) as table:
        with Writers(database, pause=0.005) as writers:
            for number, victim in enumerate(relays[:3]):
                wait_for_stored(nats_server.url, (number + 1) * 1500)
                catch_with_events(victim, table, f"r{number}")
                victim.kill()
                relays.append(relay_process(OUTBOX_RELAY_ID=f"new{number}", **QUICK))
        table.wait_until_settled(60)
        verdict = check(writers.ledger, table.rows(), read_stream(nats_server.url))
    assert verdict.problems == {}
    assert reclaims(*relays) >= 3


class Supervisor:
    """Keeps a relay alive, as systemd would: starts a new one when the last one was killed.

    Args:
        start: makes a relay.
    """

    def __init__(self, start: Callable[[], CommandProcess]) -> None:
        self._start = start
        self.relays: list[CommandProcess] = []

    def look_after(self) -> bool:
        """Start a relay unless one runs; always true."""
        if not self.relays or not self.relays[-1].running:
            assert all(relay.wait() == -signal.SIGKILL for relay in self.relays), self.relays[-1].text
            self.relays.append(self._start())
        return True

    def kill(self) -> None:
        """Kill the relay that runs."""
        self.relays[-1].send(signal.SIGKILL)


def test_t20_an_event_that_kills_every_relay_fails_and_the_others_flow(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    settings = {"OUTBOX_LEASE": "1s", "OUTBOX_PUBLISH_TIMEOUT": "500ms", "OUTBOX_SWEEP_INTERVAL": "200ms"}
    supervisor = Supervisor(lambda: relay_process(OUTBOX_MAX_CLAIMS="2", **settings))

    def decide(subject: str, _event_id: str) -> Answer:
        if not subject.endswith(".poison"):
            return STORE
        supervisor.kill()
        return LOSE

    with outbox_table(database) as table, standing_before(nats_server.url, decide):
        fill(table.conn, 20)
        table.conn.execute(
            "INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('acme', 'poison', '1')"
        )
        fill(table.conn, 20)
        wait_for(
            lambda: supervisor.look_after() and table.count() == {"published": 40, "failed": 1},
            60,
            "everything but the poison to be published",
        )
        (poison,) = [row for row in table.rows() if row.status == "failed"]
    assert "crash" in (poison.last_error or "")
    assert poison.attempts == 0
    # Twice among others, once alone.
    assert len(supervisor.relays) == 4
    assert supervisor.relays[-1].running
    assert len(read_stream(nats_server.url)) == 40


def test_events_claimed_again_and_again_fail_without_holding_up_others(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    with outbox_table(database) as table:
        fill(table.conn, 10, aggregates=1)
        table.conn.execute("""
            UPDATE event_outbox SET status = 'in_progress', claims = CASE WHEN id <= 2 THEN 6 ELSE 5 END,
                lease_token = gen_random_uuid(), lease_until = now() - interval '1 second', claimed_by = 'gone'
            WHERE id <= 4
        """)
        relay = relay_process(OUTBOX_SWEEP_INTERVAL="200ms")
        wait_for(
            lambda: table.count() == {"published": 8, "failed": 2}, 20, "two failed, the others published"
        )
        assert [row.id for row in table.rows() if row.status == "failed"] == [1, 2]
    # Four leases were expired: two events failed, two went out alone.
    assert (relay.records("lease.expired")[0]["failed"], reclaims(relay)) == (2, 2)
    assert numbers(read_stream(nats_server.url)) == list(range(3, 11))
