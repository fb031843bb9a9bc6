"""A relay is frozen while PostgreSQL runs its claim: the claim ends, and what it took is free again soon."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.support.figures import reclaims
from tests.support.machine import watched_machine
from tests.support.outbox import OutboxTable, fill
from tests.support.postgres import pids
from tests.support.processes import wait_for
from tests.support.stream import read_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

LEASE, SWEEP = 1.5, 0.3
QUICK = {
    "OUTBOX_LEASE": f"{LEASE}s",
    "OUTBOX_SWEEP_INTERVAL": f"{SWEEP}s",
    "OUTBOX_PUBLISH_TIMEOUT": "700ms",
}
RELAY = "datname = current_database() AND application_name LIKE 'outbox-notify relay % work'"
WAITING = f"SELECT pid FROM pg_stat_activity WHERE {RELAY} AND wait_event = 'advisory'"  # noqa: S608  # ours
OPEN = f"""
    SELECT pid FROM pg_stat_activity
    WHERE {RELAY} AND (backend_xid IS NOT NULL OR state LIKE 'idle in transaction%')
"""  # noqa: S608  # ours
TURN = "SELECT pg_advisory_{}(lock_k1 + 1, lock_k2) FROM event_outbox_wake()"


def test_t28_a_relay_frozen_while_its_claim_runs_holds_up_nobody(
    database: str,
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
) -> None:
    table = OutboxTable(conn)
    with watched_machine(database) as machine:
        frozen = relay_process(OUTBOX_RELAY_ID="frozen", **QUICK)
        frozen.wait_for_record("wake.ready")
        conn.execute(TURN.format("lock").encode())
        fill(conn, 20, aggregates=4)
        wait_for(lambda: bool(pids(conn, WAITING)), 10, "the claim to wait for its turn")
        frozen.freeze()
        conn.execute(TURN.format("unlock").encode())
        # No timeout of the server is needed: it has the whole of the transaction.
        wait_for(lambda: table.in_hand("frozen") == 20, 2, "the claim of a frozen relay to be committed")
        wait_for(lambda: not pids(conn, OPEN), 2, "its transaction to end")
        claimed_at = time.monotonic()

        other = relay_process(**QUICK)
        fill(conn, 20, aggregates=0)
        wait_for(lambda: table.count()["published"] >= 20, 10, "others to go on")
        wait_for(lambda: table.count()["published"] == 40, 10, "what the frozen relay had claimed")
        recovered = time.monotonic()
        late = recovered - claimed_at - machine.stalled(claimed_at, recovered)
        frozen.thaw()
        frozen.wait_for_record("lease.lost")
    stream = read_stream(nats_server.url)
    account(
        lost=40 - len({message.event_id for message in stream}),
        duplicates=len(stream) - 40,
        reclaims=reclaims(other),
        recover_s=round(late, 1),
    )
    assert len(stream) == 40
    assert reclaims(other) == 20
    assert late < LEASE + SWEEP + 1 + 1
