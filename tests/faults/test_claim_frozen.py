"""A relay is frozen at any moment, or while its claimed rows are on the wire: others go on claiming."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.support.outbox import OutboxTable, fill
from tests.support.postgres import pids
from tests.support.processes import wait_for
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from tests.support.ages import Ages
    from tests.support.command import Starter
    from tests.support.proxy import Proxy

pytestmark = pytest.mark.fault

QUICK = {"OUTBOX_SWEEP_INTERVAL": "1s"}
BODY = 200_000
LONGEST_STALL = 0.5
RELAY = "datname = current_database() AND application_name LIKE 'outbox-notify relay % work'"
SENDING = f"SELECT pid FROM pg_stat_activity WHERE {RELAY} AND wait_event = 'ClientWrite'"  # noqa: S608  # ours
OPEN = f"""
    SELECT pid FROM pg_stat_activity
    WHERE {RELAY} AND (backend_xid IS NOT NULL OR state LIKE 'idle in transaction%')
"""  # noqa: S608  # ours


def test_t66_a_relay_frozen_with_rows_on_the_wire_stops_no_other(
    proxied_database: str,
    proxy: Proxy,
    conn: psycopg.Connection,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    # A third of this is one claim: 20 MB, more than the buffers of all sockets on the way hold.
    large = {"OUTBOX_RELAY_ID": "frozen", "OUTBOX_MAX_IN_FLIGHT_BYTES": "64MiB"}
    frozen = relay_process(OUTBOX_DATABASE_URL=proxied_database, **large, **QUICK)
    frozen.wait_for("wake.ready")
    proxy.slow(rate=1_000_000)
    conn.execute("ALTER TABLE event_outbox ALTER COLUMN payload SET STORAGE EXTERNAL")
    fill(conn, 120, aggregates=120, tenant="large", size=BODY)
    wait_for(lambda: bool(pids(conn, SENDING)), 15, "bodies to be on the wire")
    frozen.freeze()
    in_hand = OutboxTable(conn).in_hand("frozen")
    assert in_hand * BODY > 10_000_000

    relay_process(**QUICK).wait_for("wake.ready")
    for _ in range(20):
        ages.insert(conn, aggregate="article-1")
        time.sleep(0.1)
    measured(ages=ages.all(), in_hand=in_hand)
    assert pids(conn, SENDING), "the frozen relay was not frozen while it read"
    assert OutboxTable(conn).in_hand("frozen") == in_hand
    assert max(ages.all()) < LONGEST_STALL


@pytest.mark.slow
def test_t66_a_relay_frozen_at_any_moment_leaves_no_transaction_open(
    proxied_database: str,
    database: str,
    proxy: Proxy,
    conn: psycopg.Connection,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    frozen = relay_process(
        OUTBOX_DATABASE_URL=proxied_database, OUTBOX_RELAY_ID="frozen", OUTBOX_BATCH_SIZE="20", **QUICK
    )
    frozen.wait_for("wake.ready")
    # So far away that a transaction of several messages would stay open between them.
    proxy.slow(delay=0.02)
    table, moments, longest = OutboxTable(conn), Random(66), 0.0  # noqa: S311  # moments, not secrets
    in_hand = 0
    with Writers(database, pause=0.005):
        for _ in range(60):
            time.sleep(moments.uniform(0, 0.1))
            frozen.freeze()
            # What was on its way to the server is still run.
            time.sleep(0.05)
            since = time.monotonic()
            wait_for(lambda: not pids(conn, OPEN), LONGEST_STALL, "transactions of a frozen relay to end")
            longest = max(longest, time.monotonic() - since)
            in_hand += bool(table.in_hand("frozen"))
            frozen.thaw()
    measured(longest=longest, in_hand=in_hand)
    assert in_hand, "the relay was never frozen at work"
