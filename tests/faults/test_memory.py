"""A backlog of large events: what a relay holds in memory is bounded, however much there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.outbox import OutboxTable
from tests.support.stream import create_stream, stored

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

MEGABYTE = 1024 * 1024
MOST = 250 * MEGABYTE
BODY = 1_000_000
FILL = """
    INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload_bytes)
    SELECT 'acme', 'image.stored', 'article', n % 40, convert_to(repeat('x', %s), 'UTF8')
    FROM generate_series(1, %s) AS n
"""


@pytest.mark.slow
@pytest.mark.parametrize("events", [100, 500])
def test_t46_a_backlog_of_large_events_stays_within_its_memory(
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
    measured: Callable[..., None],
    events: int,
) -> None:
    create_stream(
        nats_server.url, "events.>", duplicate_window=600 * 10**9, storage="memory", max_bytes=64 * MEGABYTE
    )
    idle = relay_process()
    idle.wait_for_record("wake.ready")
    conn.execute(FILL.replace("n % 40", "n %% 40").encode(), [BODY, events])
    table = OutboxTable(conn)
    table.wait_until_settled(120)
    most = peak(idle.pid)
    measured(peak_mb=most / MEGABYTE, events=events)
    account(failed=table.count()["failed"])
    assert table.count() == {"published": events}
    # The bodies that it went through do not fit, so that it held few at a time is what kept it small.
    assert stored(nats_server.url) > 30
    assert most < MOST


def peak(pid: int) -> int:
    """Return the most memory that a process ever had resident, bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
