"""Somebody holds the wake lock up: what a relay does while it waits for it."""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from random import Random
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.ages import about
from tests.support.processes import wait_for
from tests.support.writers import insert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.ages import Ages
    from tests.support.command import Starter
    from tests.support.wake import WakeView

pytestmark = pytest.mark.fault

HELD_UP_FOR = 13.0
LONGEST_SNAPSHOT = 10.0
# A look every 250 ms, and a machine that may be busy.
LATEST = 0.25 + 0.25
_SNAPSHOTS = """
    SELECT pid, query_start::text FROM pg_stat_activity
    WHERE application_name LIKE 'outbox-notify relay%' AND datname = current_database() AND backend_xmin IS NOT NULL
"""


@dataclass
class SnapshotWatch:
    """Notes how long each backend of a relay holds a snapshot in one go.

    Args:
        url: of the database.
        longest: seconds, by statement.
    """

    url: str
    longest: dict[tuple[int, str], float] = field(default_factory=dict)
    _done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look ten times a second until told to stop."""
        first: dict[tuple[int, str], float] = {}
        with psycopg.connect(self.url, autocommit=True) as conn:
            while not self._done.wait(0.1):
                now = time.monotonic()
                for statement in conn.execute(_SNAPSHOTS).fetchall():
                    self.longest[statement] = now - first.setdefault(statement, now)

    def stop(self) -> None:
        """Look no longer."""
        self._done.set()


@pytest.fixture
def snapshots(database: str) -> Iterator[SnapshotWatch]:
    watch = SnapshotWatch(database)
    thread = threading.Thread(target=watch.run)
    thread.start()
    yield watch
    watch.stop()
    thread.join()


@pytest.fixture
def writer(database: str) -> Iterator[Callable[[], psycopg.Connection]]:
    """Open connections of writers that are not in autocommit mode."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(psycopg.connect(database))


@pytest.mark.slow
def test_t63_waiting_for_the_wake_lock_delays_nobody_and_pins_nothing_for_long(
    database: str,
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    snapshots: SnapshotWatch,
    writer: Callable[[], psycopg.Connection],
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    # Everybody here has inserted before a relay asks for the lock, and so skipped the NOTIFY.
    forgotten, long = writer(), writer()
    prepared_ids = insert(forgotten, about())
    forgotten.execute("PREPARE TRANSACTION 'forgotten'")
    long_ids = insert(long, about())
    silent = [writer() for _ in range(10)]
    silent_ids = [insert(each, about()) for each in silent]

    relay = relay_process(OUTBOX_SWEEP_INTERVAL="10m")
    relay.wait_for("wake.ready")
    wait_for(lambda: bool(wake.askers()), 5, "the relay to wait for the wake lock")

    began = time.monotonic()
    notified = []
    pauses = Random(63)  # noqa: S311  # pauses, not secrets
    while time.monotonic() - began < HELD_UP_FOR:
        notified += ages.insert(conn)
        # At every distance from the last look.
        time.sleep(pauses.uniform(0.1, 0.9))
        if silent:
            ages.commit(silent.pop(), silent_ids[len(silent)])
        time.sleep(0.5)
        assert not wake.holders()
    ages.commit(long, long_ids)
    conn.execute("COMMIT PREPARED 'forgotten'")
    ages.note(prepared_ids)
    wake.wait_until_armed()

    told = ages.of(notified)
    untold = ages.of(list(chain.from_iterable(silent_ids))) + ages.of(long_ids) + ages.of(prepared_ids)
    longest = max(snapshots.longest.values())
    measured(notified=told, silent=untold, longest_snapshot=longest)
    assert longest < LONGEST_SNAPSHOT
    assert sum(held > 1 for held in snapshots.longest.values()) >= 2, "the wait was never broken off"
    assert max(told + untold) < LATEST
    assert statistics.median(told) < 0.05, "a NOTIFY does not wake a relay that waits for the lock"
