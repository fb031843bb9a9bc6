"""A relay is frozen in the middle of a claim, or while its claimed rows are on the wire: others go on claiming."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.outbox import OutboxTable, fill
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from tests.support.ages import Ages
    from tests.support.command import CommandProcess
    from tests.support.proxy import Proxy

pytestmark = pytest.mark.fault

QUICK = {"OUTBOX_SWEEP_INTERVAL": "1s"}
BODY = 200_000
# A server ends a transaction that has been idle for a second; the rest is for a busy machine.
LONGEST_STALL = 1.0 + 0.5
RELAY = "datname = current_database() AND application_name = 'outbox-notify relay'"
SENDING = f"SELECT pid FROM pg_stat_activity WHERE {RELAY} AND wait_event = 'ClientWrite'"  # noqa: S608  # ours
IN_ITS_TURN = f"""
    SELECT pid FROM pg_stat_activity
    WHERE {RELAY} AND state = 'idle in transaction' AND query LIKE '%foreign_lease%'
"""  # noqa: S608  # ours


def test_t66_a_relay_frozen_with_rows_on_the_wire_stops_no_other(
    proxied_database: str,
    proxy: Proxy,
    conn: psycopg.Connection,
    ages: Ages,
    relay_process: Callable[..., CommandProcess],
    measured: Callable[..., None],
) -> None:
    # A third of this is one claim: 20 MB, more than the buffers of all sockets on the way hold.
    large = {"OUTBOX_RELAY_ID": "frozen", "OUTBOX_MAX_IN_FLIGHT_BYTES": "64MiB"}
    frozen = relay_process(OUTBOX_DATABASE_URL=proxied_database, **large, **QUICK)
    frozen.wait_for("wake.ready")
    proxy.slow(rate=1_000_000)
    conn.execute("ALTER TABLE event_outbox ALTER COLUMN payload SET STORAGE EXTERNAL")
    fill(conn, 120, aggregates=120, tenant="large", size=BODY)
    wait_for(lambda: bool(_pids(conn, SENDING)), 15, "bodies to be on the wire")
    _freeze_when(frozen, lambda: not _pids(conn, IN_ITS_TURN))
    in_hand = OutboxTable(conn).in_hand("frozen")
    assert in_hand * BODY > 10_000_000

    relay_process(**QUICK).wait_for("wake.ready")
    for _ in range(20):
        ages.insert(conn, aggregate="article-1")
        time.sleep(0.1)
    measured(ages=ages.all(), in_hand=in_hand)
    assert _pids(conn, SENDING), "the frozen relay was not frozen while it read"
    assert OutboxTable(conn).in_hand("frozen") == in_hand
    assert max(ages.all()) < LONGEST_STALL


def test_t66_a_relay_frozen_in_its_turn_stops_no_other_for_long(
    proxied_database: str,
    proxy: Proxy,
    conn: psycopg.Connection,
    ages: Ages,
    relay_process: Callable[..., CommandProcess],
    measured: Callable[..., None],
) -> None:
    relay_process(**QUICK).wait_for("wake.ready")
    frozen = relay_process(OUTBOX_DATABASE_URL=proxied_database, OUTBOX_RELAY_ID="frozen", **QUICK)
    frozen.wait_for("wake.ready")
    # So far away that its transactions stay open for a while.
    proxy.slow(delay=0.1)
    _freeze_when(frozen, lambda: bool(_pids(conn, IN_ITS_TURN)))
    stuck = _pids(conn, IN_ITS_TURN)
    at_once = ages.insert(conn)
    time.sleep(2)
    assert not stuck & _pids(conn, IN_ITS_TURN), "the server has not ended the transaction"
    for _ in range(10):
        ages.insert(conn)
        time.sleep(0.1)
    measured(at_once=ages.of(at_once), ages=ages.all())
    assert max(ages.of(at_once)) < LONGEST_STALL
    assert max(ages.all()) < LONGEST_STALL


def _pids(conn: psycopg.Connection, query: str) -> set[int]:
    return {row[0] for row in conn.execute(query.encode()).fetchall()}


def _freeze_when(relay: CommandProcess, fact: Callable[[], bool]) -> None:
    """Freeze a relay at a moment at which a fact holds, and goes on to hold."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if fact():
            relay.freeze()
            # Until what is on its way has come through.
            time.sleep(0.3)
            if fact():
                return
            relay.thaw()
    pytest.fail("the relay was never where it was to be frozen")
