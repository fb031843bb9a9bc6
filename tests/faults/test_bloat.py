"""Dead versions that nobody may clear away do not slow claims down: somebody holds a snapshot open for minutes."""

from __future__ import annotations

import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify.relay.claimer import Claimer
from outbox_notify.relay.outcomes import Published
from outbox_notify.relay.routes import Routes
from tests.support.claiming import Desk, claiming
from tests.support.fakes import FakeWake, Notes
from tests.support.machine import watched_machine
from tests.support.outbox import fill
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.machine import Machine

pytestmark = pytest.mark.anyio

ACKED = Published("OUTBOX", 1)
EVENTS = 100
SLOWEST = 0.05
DONE = """
    INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload, status, published_at)
    SELECT 'acme', 'stock.moved', 'article', 'article-' || n %% 1000, '{}', 'published', now()
    FROM generate_series(1, %(rows)s) AS n
"""
COUNTED = "SELECT n_dead_tup, seq_scan FROM pg_stat_user_tables WHERE relname = 'event_outbox'"


@pytest.mark.parametrize(
    ("done", "seconds"),
    [
        (20_000, 4),
        pytest.param(5_000_000, 600, marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
async def test_t27_claims_stay_quick_in_a_bloated_table(
    database: str, conn: psycopg.Connection, measured: Callable[..., None], done: int, seconds: int
) -> None:
    conn.execute(DONE, {"rows": done})
    conn.execute("ANALYZE event_outbox")
    before = _counted(conn)
    with _snapshot(database), watched_machine(database) as machine:
        async with claiming(database, batch_size=EVENTS) as desk:
            took = await _work(desk, machine, seconds)
        passed = len(took) * EVENTS
        wait_for(lambda: _counted(conn)[0] >= passed, 20, "the server to count dead versions")
        dead, scans = _counted(conn)
    fifth = len(took) // 5
    first, last = statistics.median(took[:fifth]), statistics.median(took[-fifth:])
    p99 = statistics.quantiles(took, n=100)[98]
    measured(claims=len(took), dead=dead, p99=p99, first_fifth=first, last_fifth=last)
    assert dead >= passed, "nothing was left lying about"
    assert scans == before[1], "the whole table was read"
    assert p99 < SLOWEST
    assert last < first * 2 + 0.005


async def _work(desk: Desk, machine: Machine, seconds: float) -> list[float]:
    """Write, claim and settle events; return what each claim took, without what the machine itself took."""
    claimer = Claimer(
        desk.storage, FakeWake(), Routes(), Notes(), batch_size=EVENTS, batch_bytes=10**7, sweep_interval=5.0
    )
    took, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        fill(desk.conn, EVENTS)
        began = time.monotonic()
        claim = await claimer.claim([])
        ended = time.monotonic()
        if claim.token is None:
            continue
        took.append(ended - began - machine.stalled(began, ended))
        outcomes = dict.fromkeys(await desk.storage.read(claim.token), ACKED)
        assert await desk.storage.settle(claim.token, outcomes) == 0
        claimer.settled(claim.token, outcomes, written=True)
    return took


@contextmanager
def _snapshot(url: str) -> Iterator[None]:
    with psycopg.connect(url) as report:
        report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT count(*) FROM event_outbox WHERE id < 10")
        yield
        report.rollback()


def _counted(conn: psycopg.Connection) -> tuple[int, int]:
    row = conn.execute(COUNTED).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
