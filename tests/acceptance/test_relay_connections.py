"""How many connections a relay needs: whoever runs PostgreSQL counts them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.support.outbox import fill, outbox_table

if TYPE_CHECKING:
    import psycopg

    from tests.support.command import Starter

_OURS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'outbox-notify relay%'"
)


def test_a_relay_holds_six_connections_at_most(database: str, relay_process: Starter) -> None:
    relay = relay_process(OUTBOX_BATCH_SIZE="20")
    relay.wait_for_record("wake.ready")
    most = 0
    with outbox_table(database) as table:
        fill(table.conn, 4000)
        while table.count()["published"] < 4000:
            most = max(most, _connections(table.conn))
            time.sleep(0.002)
        assert 4 <= most <= 6


def _connections(conn: psycopg.Connection) -> int:
    row = conn.execute(_OURS).fetchone()
    assert row is not None
    return int(row[0])
