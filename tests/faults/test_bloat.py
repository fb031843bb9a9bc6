"""Dead versions that nobody may clear away do not slow claims down: somebody holds a snapshot open for minutes."""

from __future__ import annotations

import statistics
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
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
from tests.support.postgres import TEMPLATE, fresh_database
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from outbox_notify.embedded import EmbeddedPostgres
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
    database: str,
    conn: psycopg.Connection,
    postgres_server: EmbeddedPostgres,
    measured: Callable[..., None],
    done: int,
    seconds: int,
) -> None:
    conn.execute(DONE, {"rows": done})
    conn.execute("ANALYZE event_outbox")
    before = _counted(conn)
    # The same beside it in a small table that is cleared: how quick this machine is just now.
    with fresh_database(postgres_server, TEMPLATE) as small, watched_machine(small) as machine:
        async with working(database, machine) as bloated, working(small, machine) as ordinary:
            with _snapshot(database):
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    await bloated.round()
                    await ordinary.round()
                passed = len(bloated.took) * EVENTS
                wait_for(lambda: _counted(conn)[0] >= passed, 20, "the server to count dead versions")
                dead, scans = _counted(conn)
    measured(
        claims=len(bloated.took),
        dead=dead,
        p99=[bloated.p99, ordinary.p99],
        late=[bloated.late, ordinary.late],
    )
    assert scans == before[1], "the whole table was read"
    assert bloated.p99 < max(SLOWEST, ordinary.p99 * 3)
    assert bloated.late < ordinary.late * 2 + 0.002


@dataclass
class Work:
    """A relay's way with the table, one batch after another.

    Args:
        took: what each claim took, without what the machine itself took.
    """

    desk: Desk
    claimer: Claimer
    machine: Machine
    took: list[float] = field(default_factory=list)

    async def round(self) -> None:
        """Write, claim and settle events."""
        fill(self.desk.conn, EVENTS)
        began = time.monotonic()
        claim = await self.claimer.claim([])
        ended = time.monotonic()
        assert claim.token is not None
        self.took.append(ended - began - self.machine.stalled(began, ended))
        outcomes = dict.fromkeys(await self.desk.storage.read(claim.token), ACKED)
        assert await self.desk.storage.settle(claim.token, outcomes) == 0
        self.claimer.settled(claim.token, outcomes, written=True)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.took, n=100)[98]

    @property
    def late(self) -> float:
        """The median of the last fifth."""
        return statistics.median(self.took[-len(self.took) // 5 :])


@asynccontextmanager
async def working(url: str, machine: Machine) -> AsyncIterator[Work]:
    sizes = {"batch_size": EVENTS, "batch_bytes": 10**7}
    async with claiming(url, batch_size=EVENTS) as desk:
        claimer = Claimer(desk.storage, FakeWake(), Routes(), Notes(), sweep_interval=5.0, **sizes)
        yield Work(desk, claimer, machine)


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
