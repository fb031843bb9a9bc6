"""Relays on hosts whose clocks are wrong by hours: leases and delays last by the clock of the database alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.checker import check
from tests.support.events import put
from tests.support.faulty import Fault
from tests.support.figures import fenced, reclaims
from tests.support.outbox import outbox_table
from tests.support.processes import wait_for
from tests.support.stream import read_stream, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import CommandProcess, Starter

HOURS = 2
QUICK = {
    "OUTBOX_LEASE": "5s",
    "OUTBOX_SWEEP_INTERVAL": "200ms",
    "OUTBOX_RETENTION": "1h",
    "OUTBOX_PUBLISH_TIMEOUT": "2s",
}


@pytest.mark.slow
def test_t18_relays_whose_clocks_are_wrong_by_hours_neither_reclaim_nor_wait_nor_prune(
    database: str,
    nats_server: EmbeddedNats,
    faulty_relay: Starter,
    account: Callable[..., None],
) -> None:
    relays = [faulty_relay(Fault(clock=hours * 3600), **QUICK) for hours in (HOURS, -HOURS)]
    with outbox_table(database) as table:
        with Writers(database, pause=0.01) as writers:
            wait_for_stored(nats_server.url, 1500)
        table.wait_until_settled()
        rows = table.rows()
        verdict = check(writers.ledger, rows, read_stream(nats_server.url))
        put(table.conn, available_at=datetime.now(UTC) + timedelta(seconds=1))
        put(table.conn, available_at=datetime.now(UTC) + timedelta(hours=1))
        wait_for(
            lambda: table.count() == {"published": len(rows) + 1, "pending": 1}, 5, "the event that is due"
        )
    account(verdict, reclaims=reclaims(*relays), fenced=fenced(*relays))
    assert [round(ahead(relay) / 3600) for relay in relays] == [HOURS, -HOURS]
    assert verdict.problems == {}
    assert reclaims(*relays) == fenced(*relays) == 0
    # None was pruned as if it were two hours old.
    assert len(rows) >= 1500


def ahead(relay: CommandProcess) -> float:
    """Return by how many seconds the clock of a relay is wrong, as its log lines show it."""
    said = datetime.fromisoformat(relay.wait_for_record("relay.ready")["timestamp"])
    return (said - datetime.now(UTC)).total_seconds()
