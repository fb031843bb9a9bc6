"""Very many rows at the head of the table that may not go yet are not in the way of those behind them."""

from __future__ import annotations

import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest

from benchmarks.ahead import KINDS, put_ahead
from outbox_notify.embedded import EmbeddedNats
from tests.support.ages import Ages
from tests.support.machine import Machine
from tests.support.outbox import fill
from tests.support.postgres import TEMPLATE, fresh_database
from tests.support.processes import wait_for
from tests.support.stream import create_stream, spying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from outbox_notify.embedded import EmbeddedPostgres
    from tests.support.command import Starter

pytestmark = pytest.mark.fault


@dataclass(frozen=True)
class Figures:
    """How a relay did.

    Args:
        cold: events a second of a backlog, from the first event after the start of the relay.
        first: seconds until this first event.
        steady: events a second of a backlog that is committed while the relay runs.
        idle: median age of events that come one by one, seconds.
    """

    cold: float
    first: float
    steady: float
    idle: float


@dataclass(frozen=True)
class Course:
    """Servers, a relay between them, and what it has to run through.

    Args:
        postgres: the server.
        start: starts a relay.
        behind: events behind those that may not go.
    """

    postgres: EmbeddedPostgres
    start: Starter
    behind: int

    def run(self, kinds: Sequence[str], ahead: int) -> Figures:
        """Return how a relay does with so many rows ahead, the kinds sharing them."""
        with self._database() as conn, EmbeddedNats() as nats:
            create_stream(nats.url, "events.acme.>")
            for kind in kinds:
                put_ahead(conn, kind, ahead // len(kinds))
            fill(conn, self.behind)
            conn.execute("VACUUM ANALYZE event_outbox")
            with spying(nats.url, "events.acme.>") as spy:
                began = time.monotonic()
                relay = self.start(OUTBOX_DATABASE_URL=_url(conn), OUTBOX_NATS_URL=nats.url)
                wait_for(lambda: len(spy.heard) >= self.behind, 90, "the backlog to pass")
                first, last = spy.heard[0][2], spy.heard[-1][2]
                idle = self._idle(conn, Ages(spy, Machine()))
                passed = len(spy.heard)
                fill(conn, self.behind)
                committed = time.monotonic()
                wait_for(lambda: len(spy.heard) >= passed + self.behind, 90, "the second backlog to pass")
                steady = spy.heard[-1][2] - committed
            self._check(conn, kinds, ahead)
            relay.kill()
        return Figures(self.behind / (last - first), first - began, self.behind / steady, idle)

    @contextmanager
    def _database(self) -> Iterator[psycopg.Connection]:
        with fresh_database(self.postgres, TEMPLATE) as url, psycopg.connect(url, autocommit=True) as conn:
            yield conn

    def _idle(self, conn: psycopg.Connection, ages: Ages) -> float:
        for _ in range(40):
            ages.insert(conn)
            time.sleep(0.02)
        return statistics.median(ages.all())

    def _check(self, conn: psycopg.Connection, kinds: Sequence[str], ahead: int) -> None:
        row = conn.execute("SELECT count(*) FROM event_outbox WHERE status = 'pending'").fetchone()
        assert row is not None
        # Of a resting route, some are being tried.
        assert row[0] >= len(kinds) * (ahead // max(1, len(kinds))) - 2000, (
            "the rows ahead were not held back"
        )


@pytest.fixture
def course(postgres_server: EmbeddedPostgres, relay_process: Starter) -> Callable[[int], Course]:
    return lambda behind: Course(postgres_server, relay_process, behind)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_t69_rows_that_may_not_go_are_not_in_the_way(
    course: Callable[[int], Course], measured: Callable[..., None]
) -> None:
    track = course(10_000)
    free, blocked = track.run([], 0), track.run(KINDS, 100_000)
    measured(free=vars(free), blocked=vars(blocked))
    # A plain claim would come to a hundredth. This is a short run on a machine that may be busy with something else.
    assert blocked.steady > free.steady * 0.2
    assert blocked.cold > free.cold * 0.2
    assert blocked.idle < free.idle * 3 + 0.02


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_t69_a_million_rows_that_may_not_go_are_not_in_the_way(
    kind: str, course: Callable[[int], Course], measured: Callable[..., None]
) -> None:
    track = course(50_000)
    frees, blocked = [track.run([], 0)], track.run([kind], 1_000_000)
    frees.append(track.run([], 0))
    measured(free=[vars(free) for free in frees], blocked=vars(blocked))
    assert blocked.steady > min(free.steady for free in frees) * 0.8
    assert blocked.idle < max(free.idle for free in frees) * 2 + 0.005


def _url(conn: psycopg.Connection) -> str:
    return f"postgresql://{conn.info.user}:{conn.info.password}@{conn.info.host}:{conn.info.port}/{conn.info.dbname}"
